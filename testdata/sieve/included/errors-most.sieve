if size :over 18446744073709551615 { stop; }
if size :over 17179869183G { stop; }
