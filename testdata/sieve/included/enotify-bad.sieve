require "enotify"; notify "sms:+123";
