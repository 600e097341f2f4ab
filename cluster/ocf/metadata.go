package ocf

// metadata is what pacemaker, pcs and crm know of the agent.
const metadata = `<?xml version="1.0"?>
<!DOCTYPE resource-agent SYSTEM "ra-api-1.dtd">
<resource-agent name="gomaild" version="1.0">
<version>1.0</version>
<longdesc lang="en">
The mail server gomaild: SMTP, submission, LMTP, IMAP, POP3 and ManageSieve in one
process, on a mail root that is mounted on one node at a time. Start returns when
it serves. Stop drains, closes and at last kills within its timeout, and leaves
nothing open on the mount.
</longdesc>
<shortdesc lang="en">Manages the mail server gomaild</shortdesc>
<parameters>
<parameter name="config" unique="1">
<longdesc lang="en">The configuration file, equal on all nodes and not on the mount.</longdesc>
<shortdesc lang="en">configuration file</shortdesc>
<content type="string" default="/etc/gomaild/gomaild.toml"/>
</parameter>
<parameter name="user" unique="1">
<longdesc lang="en">The user that the server runs as. It may listen on low ports all the same. Empty: the one that pacemaker runs agents as, root.</longdesc>
<shortdesc lang="en">user of the server</shortdesc>
<content type="string" default=""/>
</parameter>
<parameter name="log" unique="1">
<longdesc lang="en">What the server writes to its standard error goes to the end of this file: all of its log, unless log.destination in the configuration says otherwise.</longdesc>
<shortdesc lang="en">log file</shortdesc>
<content type="string" default="/var/log/gomaild.log"/>
</parameter>
<parameter name="probe_account">
<longdesc lang="en">A mailbox made for the purpose. A monitor of level 20 sends it a message by LMTP, reads it by IMAP and deletes it. Empty: such a monitor only asks the database besides what level 10 does.</longdesc>
<shortdesc lang="en">account for probes</shortdesc>
<content type="string" default=""/>
</parameter>
<parameter name="probe_password_file">
<longdesc lang="en">A file whose first line is the password of the probe account.</longdesc>
<shortdesc lang="en">password file of the probe account</shortdesc>
<content type="string" default=""/>
</parameter>
</parameters>
<actions>
<action name="start" timeout="60s"/>
<action name="stop" timeout="40s"/>
<action name="status" timeout="10s"/>
<action name="monitor" depth="0" timeout="10s" interval="2s"/>
<action name="monitor" depth="10" timeout="30s" interval="5s"/>
<action name="monitor" depth="20" timeout="30s" interval="61s"/>
<action name="reload" timeout="20s"/>
<action name="notify" timeout="5s"/>
<action name="meta-data" timeout="5s"/>
<action name="validate-all" timeout="10s"/>
</actions>
</resource-agent>
`
