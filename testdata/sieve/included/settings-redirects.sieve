redirect "cd@example.com"; redirect "ef@example.com";
