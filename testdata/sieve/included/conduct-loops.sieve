require "foreverypart";
require "include";
foreverypart { include "conduct-loop"; }
