require ["mime", "special-use", "fileinto", "index", "foreverypart"];
if header "from" "a" :frop { keep; }
if header "from" "a" :is { keep; }
if exists :mime :type "from" { keep; }
fileinto :specialuse "Sent" "a";
if header :index 0 :last "from" "a" { keep; }
foreverypart { foreverypart { foreverypart { foreverypart { foreverypart { break; } } } } }
