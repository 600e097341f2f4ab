if size :over 18446744073709551616 { stop; }
if size :over 17179869184G { stop; }
if size :over 99999999999999999999999999999999 { stop; }
