require ["vacation", "fcc", "imap4flags"];
vacation :flags "\\Seen" "away";
