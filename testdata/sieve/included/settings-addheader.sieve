require "editheader"; addheader "X-Long" "what is longer than so few octets";
