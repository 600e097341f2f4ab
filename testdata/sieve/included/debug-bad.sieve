require "fileinto"; debug_log "x"; 
