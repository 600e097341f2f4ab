require "editheader";
redirect " ann @ example.org ";
redirect "Ann Example<ann(at home)@example.org> ";
redirect "\"Example, Ann\" < \"ann\" @ EXAMPLE . org >";
redirect "..dots...here.@example.net";
