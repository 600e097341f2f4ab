if "a" true {} elsif "a" true {}
stop;
else {} elsif true {} else {}
if if true {}
