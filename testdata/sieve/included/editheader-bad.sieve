require "editheader"; addheader "X Bad" "1"; deleteheader "X:Bad";
