require "fileinto";
fileinto "flagged";
