require "ihave";
if ihave "vacation" { vacation "x"; } else { discard; }
