require "imapflags"; if hasflag "\\Seen" { keep :flags "\\Flagged"; }
