"""The browser's part of lab/fronts: headless Chromium at the web address.

An administrator makes a domain and mailboxes in postfixadmin; mail for them is
taken at once; in Roundcube a user reads, searches, writes with an attachment,
makes a filter and meets its effect, changes the password, and does not notice
that nginx dies on the front end that holds the address. Each step prints a line
with its time; the first that fails ends it with a picture.
"""

import smtplib
import subprocess
import sys
import time
from email.message import EmailMessage
from pathlib import Path

from selenium import webdriver
from selenium.common.exceptions import (NoAlertPresentException, StaleElementReferenceException, TimeoutException,
                                        WebDriverException)
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

LAB = Path("/tmp/in")
WEB = "https://192.168.11.110/"
MAIL = "192.168.11.100"
PATIENCE = 60  # seconds: the machine may be busy with other things
DOMAIN = "web.test"
ALICE, BOB = f"alice@{DOMAIN}", f"bob@{DOMAIN}"
FIRST, SECOND = "Secret-lab-12", "Changed-lab-34"


class Browser:
    """One Chromium, and what the steps do in it."""

    def __init__(self):
        options = webdriver.ChromeOptions()
        for arg in ("headless=new", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "ignore-certificate-errors",
                    "disable-background-networking", "disable-component-update", "disable-sync", "window-size=1300,900"):
            options.add_argument("--" + arg)
        self.driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
        self.driver.set_page_load_timeout(PATIENCE)
        self.begin = time.monotonic()

    def step(self, text):
        print(f"{time.monotonic() - self.begin:6.1f} s  {text}", flush=True)
        self.picture(f"{int(time.monotonic() - self.begin):03d}")

    def picture(self, name):
        self.driver.save_screenshot(str(LAB / "pictures" / f"{name}.png"))

    def go(self, path):
        self.driver.get(WEB + path)

    def until(self, what, condition, patience=PATIENCE):
        """Waits until condition returns something true, and returns that."""
        end = time.monotonic() + patience
        while True:
            try:
                if got := condition():
                    return got
            except (StaleElementReferenceException, NoAlertPresentException):
                pass
            if time.monotonic() > end:
                raise TimeoutException(f"waited {patience} s for {what}")
            time.sleep(0.1)

    def find(self, css):
        """The first visible element, as soon as there is one."""
        return self.until(css, lambda: next((e for e in self.all(css) if e.is_displayed()), None))

    def all(self, css):
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def text(self, css="body"):
        return self.find(css).text

    def fill(self, css, value):
        e = self.find(css)
        e.clear()
        e.send_keys(value)

    def click(self, css):
        self.find(css).click()

    def script(self, code, *args):
        return self.driver.execute_script(code, *args)

    # Roundcube

    def login(self, user, password):
        self.driver.delete_all_cookies()
        self.go("")
        self.fill("#rcmloginuser", user)
        self.fill("#rcmloginpwd", password)
        self.click("#rcmloginsubmit")

    def enter(self, user, password):
        self.login(user, password)
        self.find("#messagelist")

    def refuse(self, user, password):
        self.login(user, password)
        said = self.until("the refusal", lambda: any("failed" in e.text for e in self.all("#messagestack")))
        assert said and self.all("#rcmloginuser"), "a wrong password was let in"

    def subjects(self):
        return [e.text for e in self.all("#messagelist tbody tr td.subject a")]

    def listed(self, subject, folder="INBOX"):
        """Waits until a folder lists a message with the subject."""
        def look():
            self.go(f"?_task=mail&_mbox={folder}")
            self.find("#messagelist")
            end = time.monotonic() + 3
            while time.monotonic() < end:
                if any(subject in s for s in self.subjects()):
                    return True
                time.sleep(0.1)
            return False
        self.until(f"{subject!r} in {folder}", look)

    def open(self, subject):
        href = next(e.get_attribute("href") for e in self.all("#messagelist tbody tr td.subject a") if subject in e.text)
        self.driver.get(href)
        return self.text("#messagebody")


def send(subject, rcpt, body="Hello.\n"):
    """Hands a message to the MX as a stranger does."""
    m = EmailMessage()
    m["From"], m["To"], m["Subject"] = "stranger@elsewhere.test", rcpt, subject
    m["Date"], m["Message-ID"] = "Mon, 01 Jun 2026 10:00:00 +0000", f"<{time.time_ns()}@elsewhere.test>"
    m.set_content(body)
    with smtplib.SMTP(MAIL, 25, timeout=PATIENCE) as s:
        s.send_message(m)


def administrator(b):
    """postfixadmin: a domain, two mailboxes and an alias."""
    b.go("postfixadmin/login.php")
    b.fill("input[name=fUsername]", "admin@example.org")
    b.fill("input[name=fPassword]", "Admin-lab-12")
    b.click("input[type=submit], button[type=submit]")
    b.until("the main page", lambda: "main.php" in b.driver.current_url)
    b.step("postfixadmin: the administrator is in")

    def save(table, values, choose=None):
        b.go(f"postfixadmin/edit.php?table={table}")
        for name, value in values.items():
            b.fill(f'[name="value[{name}]"]', value)
        if choose:
            Select(b.find('[name="value[domain]"]')).select_by_value(choose)
        b.click("[name=submit]")
        b.until(f"{table} saved", lambda: b.all(".flash-info, .alert-success, .alert-info") or "list" in b.driver.current_url)
        bad = [e.text for e in b.all(".flash-error, .alert-danger, .error_msg, .has-error .help-block") if e.text]
        assert not bad, f"{table}: {bad}"

    save("domain", {"domain": DOMAIN, "description": "by browser"})
    for address in (ALICE, BOB):
        save("mailbox", {"local_part": address.split("@")[0], "password": FIRST, "password2": FIRST, "name": address, "quota": "5"}, DOMAIN)
    save("alias", {"localpart": "sales", "goto": ALICE}, DOMAIN)
    b.step("postfixadmin: a domain, two mailboxes and an alias are made")


def reader(b):
    begin = time.monotonic()
    send("First for a new mailbox", ALICE)
    b.step(f"a stranger's message to the new mailbox is taken within {time.monotonic() - begin:.1f} s")
    send("Through the alias", f"sales@{DOMAIN}", "A word to look for: wolpertinger.\n")
    b.refuse(ALICE, FIRST + "x")
    b.step("Roundcube: a wrong password is refused")
    b.enter(ALICE, FIRST)
    b.listed("First for a new mailbox")
    b.listed("Through the alias")
    assert "wolpertinger" in b.open("Through the alias")
    b.step("Roundcube: both are listed, one is read")
    b.go("?_task=mail&_mbox=INBOX&_search=1")
    b.find("#messagelist")
    b.until("two messages", lambda: len(b.subjects()) >= 2)
    # the same that the search form does, in headers and bodies
    b.script("""document.querySelector('#mailsearchform, #searchform, .searchbar input[type=text]').value = 'wolpertinger';
        document.querySelectorAll('input[name="s_mods[]"]').forEach(e => { e.checked = e.value == 'text'; });
        rcmail.env.search_mods = {'*': {text: 1}}; rcmail.command('search');""")
    b.until("the search", lambda: b.subjects() and all("Through the alias" in s for s in b.subjects()))
    b.step("Roundcube: a search in the bodies finds the one")


def writer(b):
    subject = f"Written in the browser {time.time_ns()}"
    b.enter(ALICE, FIRST)
    b.go("?_task=mail&_action=compose")
    b.find("#composebody")
    b.script("""const e = document.querySelector('#_to'); e.value = arguments[0];
        e.dispatchEvent(new Event('change', {bubbles: true}));""", BOB)
    b.fill("#compose-subject", subject)
    b.fill("#composebody", "Sent by the browser.\nSecond line, Привет.")
    note = Path("/tmp/note.txt")
    note.write_text("attached text\n")
    b.driver.find_element(By.CSS_SELECTOR, "form[name=uploadform] input[type=file]").send_keys(str(note))
    b.find("#attachment-list li:not(.uploading)")
    b.click("a.send, button.send")
    b.until("the message sent", lambda: "_action=compose" not in b.driver.current_url)
    b.listed(subject, "Sent")
    b.step("Roundcube: a message with an attachment is sent, its copy is in Sent")
    b.enter(BOB, FIRST)
    b.listed(subject)
    body = b.open(subject)
    assert "Привет" in body and "note.txt" in b.text("#attachment-list, #layout-content"), body
    b.step("Roundcube: the other user has it, text and attachment")


def filterer(b):
    b.enter(ALICE, FIRST)
    b.go("?_task=settings&_action=edit-folder&_mbox=&_framed=1")
    b.fill("#_name, input[name=_name]", "Projects")
    b.script("document.querySelector('form').submit()")
    b.step("Roundcube: a folder is made")
    b.go("?_task=settings&_action=plugin.managesieve-action&_framed=1&_fid=")
    b.fill("#_name, input[name=_name]", "To projects")
    Select(b.find("select[name='_header[0]']")).select_by_value("subject")
    b.fill("input[name='_rule_target[0][]']", "[project]")
    Select(b.find("select[name='_action_type[0]']")).select_by_value("fileinto")
    Select(b.find("select[name='_action_mailbox[0]']")).select_by_value("Projects")
    b.script("rcmail.command('plugin.managesieve-save')")

    def saved():
        b.go("?_task=settings&_action=plugin.managesieve")
        return "To projects" in b.text("#filterslist, #layout-list")
    b.until("the filter saved", saved)
    b.step("Roundcube: a filter is saved through ManageSieve")
    send("[project] Filed by the filter", ALICE)
    b.listed("[project] Filed by the filter", "Projects")
    b.go("?_task=mail&_mbox=INBOX")
    b.find("#messagelist")
    b.until("the inbox", b.subjects)
    assert not any("[project]" in s for s in b.subjects()), "the message is in the inbox too"
    b.step("Roundcube: the next message is where the filter puts it, and only there")


def changer(b):
    b.driver.delete_all_cookies()
    b.go("postfixadmin/users/login.php")
    b.fill("input[name=fUsername]", ALICE)
    b.fill("input[name=fPassword]", FIRST)
    b.click("input[type=submit], button[type=submit]")
    b.until("the user's page", lambda: "users/main.php" in b.driver.current_url)
    b.go("postfixadmin/users/password.php")
    b.fill("input[name=fPassword_current]", FIRST)
    b.fill("input[name=fPassword]", SECOND)
    b.fill("input[name=fPassword2]", SECOND)
    b.click("[name=submit]")
    b.until("the change", lambda: "changed" in b.text())
    b.step("postfixadmin: the user changes the password")
    b.refuse(ALICE, FIRST)
    b.enter(ALICE, SECOND)
    b.step("Roundcube: the old password is refused, the new one taken")


def survivor(b):
    """The session goes on when nginx dies where the address is."""
    b.listed("Through the alias")
    (LAB / "ngx01" / "kill-nginx").touch()
    b.until("nginx dead", lambda: not (LAB / "ngx01" / "kill-nginx").exists())
    begin = time.monotonic()

    def again():
        try:
            b.driver.set_page_load_timeout(3)
            b.go("?_task=mail&_mbox=INBOX")
            return any("Through the alias" in s for s in b.subjects())
        except WebDriverException:
            return False
        finally:
            b.driver.set_page_load_timeout(PATIENCE)
    b.until("the other front end", again)
    assert not b.all("#rcmloginuser"), "the session is lost"
    b.step(f"nginx died on ngx01: the session goes on after {time.monotonic() - begin:.1f} s")
    subject = f"After the fault {time.time_ns()}"
    send(subject, ALICE)
    b.listed(subject)
    b.step("Roundcube: new mail is listed through the other front end")


def main():
    b = Browser()
    try:
        # keepalived gives the address to one of the two
        b.until("the web address", lambda: subprocess.run(
            ["curl", "-skfo", "/dev/null", "-m", "2", WEB], check=False).returncode == 0)
        for part in ([globals()[a] for a in sys.argv[1:]] or [administrator, reader, writer, filterer, changer, survivor]):
            part(b)
        print("fronts: all steps passed")
    except (AssertionError, WebDriverException, OSError, smtplib.SMTPException, StopIteration) as e:
        b.picture("failed")
        (LAB / "pictures" / "failed.html").write_text(b.driver.page_source)
        print(f"FAILED at {b.driver.current_url}: {type(e).__name__}: {e}", file=sys.stderr)
        return 1
    finally:
        b.driver.quit()
    return 0


sys.exit(main())
