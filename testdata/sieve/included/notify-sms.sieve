require "notify";
notify :method "sms" :options "1";
