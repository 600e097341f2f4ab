require "include";
include "stops-outer";
