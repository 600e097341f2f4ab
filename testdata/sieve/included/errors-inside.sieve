if address :all :domain "from" "a" {
	if address :domain :localpart "from" "b" { keep; }
}
