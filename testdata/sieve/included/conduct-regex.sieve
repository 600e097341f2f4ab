require ["regex", "variables", "fileinto"];
set "re" "[";
if header :regex "to" "${re}" { fileinto "x"; }
