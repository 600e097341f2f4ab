frop "a" :b 1 "a" :b 1 "a" :b 1 "a" :b 1 "a" :b 1 "a" :b 1 "a" :b 1 "a" :b 1 "a" :b 1 "a" :b 1 "a" :b 1 {
	stop;
}
friep $$$;
if true { if true { if true { if true { if true { if true { if true { if true { if true { if true { if true { if true { if true { if true { if true { if true { if true { if true { if true { if true { if true { if true { if true { if true { if true { if true { if true { if true { if true { if true { if true { if true { if true { stop; } } } } } } } } } } } } } } } } } } } } } } } } } } } } } } } } }
if not not not not not not not not not not not not not not not not not not not not not not not not not not not not not not not not not true { stop; }
if true {
	keep;
