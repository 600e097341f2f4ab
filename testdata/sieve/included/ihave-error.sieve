require "ihave";
error "cannot go on";
