require "enotify";
notify :from "" "mailto:a@example.org";
notify :from "a#example.org" "mailto:a@example.org";
notify :options "" "mailto:a@example.org";
notify :options ["a.b=c", "_a=b"] "mailto:a@example.org";
notify "mailto:a@example.org?b<=c";
notify "mailto:a@example.org?b=c>d";
notify "mailto:a@example.org?b:=c";
notify "mailto:a@example.org?to=b%23example.org";
