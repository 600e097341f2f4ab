require "include"; include "greet"; include "stops";
