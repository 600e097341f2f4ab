require "variables"; set "a" "1"; set "b" "2"; if string "${a}${b}" "12" { keep; }
