require "fileinto"; fileinto :mailboxid "F1" "x"; if mailboxidexists "F1" { keep; }
