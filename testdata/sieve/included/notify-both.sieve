require ["notify", "enotify"];
notify "mailto:a@example.org";
