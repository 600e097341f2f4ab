require "include";
include "circle-2";
