package sieve

// testsuiteSpecs are the commands and tests of vnd.dovecot.testsuite.
func testsuiteSpecs() []spec {
	ext := testsuiteExtension
	place := []tagSpec{{name: "smtp", group: "place"}, {name: "folder", kind: kindString, group: "place"}}
	index := []tagSpec{{name: "index", kind: kindNumber}}
	file := []param{{"script", kindString}}
	return []spec{
		{name: "test", ext: ext, params: []param{{"name", kindString}}, block: true, build: buildTest},
		{name: "test_fail", ext: ext, params: []param{{"reason", kindString}}, build: buildTestFail},
		{name: "test_set", ext: ext, params: []param{{"object", kindString}, {"value", kindString}}, build: buildTestSet},
		{name: "test_message", ext: ext, tags: place, params: []param{{"index", kindNumber}}, build: buildTestMessage},
		{name: "test_message", isTest: true, ext: ext, tags: place, params: []param{{"index", kindNumber}}, build: buildTestMessage},
		{name: "test_mailbox_create", ext: ext, params: []param{{"mailbox", kindString}}, build: buildTestMailbox},
		{name: "test_mailbox_delete", ext: ext, params: []param{{"mailbox", kindString}}, build: buildTestMailboxDelete},
		{name: "test_message_print", ext: ext, build: buildTestMessagePrint},
		{name: "test_imap_metadata_set", ext: ext, tags: []tagSpec{{name: "mailbox", kind: kindString}},
			params: []param{{"annotation", kindString}, {"value", kindString}}, build: buildTestMetadata},
		{name: "test_config_set", ext: ext, params: []param{{"setting", kindString}, {"value", kindString}}, build: buildTestConfigSet},
		{name: "test_config_unset", ext: ext, params: []param{{"setting", kindString}}, build: buildTestConfigUnset},
		{name: "test_config_reload", ext: ext, tags: []tagSpec{{name: "extension", kind: kindString}}, build: buildTestConfigReload},
		{name: "test_result_reset", ext: ext, build: buildTestResultReset},
		{name: "test_result_print", ext: ext, build: buildTestResultPrint},
		{name: "test_binary_save", ext: ext, params: []param{{"name", kindString}}, build: buildTestBinarySave},
		{name: "test_binary_load", ext: ext, params: []param{{"name", kindString}}, build: buildTestBinaryLoad},
		{name: "test_script_compile", isTest: true, ext: ext, params: file, build: buildTestScriptCompile},
		{name: "test_script_run", isTest: true, ext: ext, tags: []tagSpec{{name: "append_result"}}, build: buildTestScriptRun},
		{name: "test_multiscript", isTest: true, ext: ext, params: []param{{"scripts", kindList}}, build: buildTestMultiscript},
		{name: "test_result_execute", isTest: true, ext: ext, build: buildTestResultExecute},
		{name: "test_result_action", isTest: true, ext: ext, match: true, tags: index, params: []param{{"key list", kindList}}, build: buildTestResultAction},
		{name: "test_error", isTest: true, ext: ext, match: true, tags: index, params: []param{{"key list", kindList}}, build: buildTestError},
	}
}
