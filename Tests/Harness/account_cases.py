"""Users and groups that configs want, and the target that they are wanted in: for every test that makes accounts."""

LOGIN_DEFS = """MAIL_DIR /var/mail
UMASK 022
PASS_MAX_DAYS 99999
PASS_MIN_DAYS 0
PASS_WARN_AGE 7
UID_MIN 1000
UID_MAX 60000
GID_MIN 1000
GID_MAX 60000
USERGROUPS_ENAB yes
"""
# As file_trees makes them.
BASE = {
    "/etc": "dir 755 0:0", "/etc/default": "dir 755 0:0", "/etc/skel": "dir 755 0:0",
    "/etc/skel/.profile": "file 644 0:0 profile\n", "/etc/skel/bin": "dir 2750 0:7",
    "/etc/skel/bin/run": "file 4755 5:6 run\n", "/etc/login.defs": f"file 644 0:0 {LOGIN_DEFS}",
    "/etc/default/useradd": "file 644 0:0 SHELL=/bin/sh\n",
    "/etc/passwd": "file 644 0:0 root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n"
                    "odd line\ncore:x:1000:1000:Core:/home/core:/bin/bash\nbatch:x:900:900::/nonexistent:/bin/false\n"
                    "open:$6$open:1001:1001::/home/open:/bin/sh\n\n+::::::\n",
    "/etc/shadow": "file 640 0:42 root:*:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\n"
                    "core:$6$old:19001:0:99999:7:::\nbatch:!:19002::::::\n#\n",
    "/etc/group": "file 664 0:0 root:x:0:\ndaemon:x:1:\nmail:x:8:batch\nwheel:x:10:core,root\nshadow:x:42:\n"
                   "users:x:100:\nbatch:x:900:\ncore:x:1000:\nopen:x:1001:\nstaff:x:50:core\n",
    "/etc/gshadow": "file 640 0:42 root:*::\nwheel:!:core:core,root\ncore:!::\nstaff:$6$g::core\nbatch:!::\n",
    "/etc/subuid": "file 644 0:0 core:165536:65536\n", "/etc/subgid": "file 644 0:0 core:100000:65536\nopen:5:6\n",
    "/home": "dir 755 0:0", "/home/core": "dir 700 1000:1000",
    "/home/core/mine": "file 6755 1000:1000 mine\n", "/home/core/others": "file 644 0:1000 others\n",
    "/home/core/deep": "dir 755 1000:8", "/home/core/deep/file": "file 600 1000:1000 deep\n",
    "/home/open": "dir 755 0:0", "/srv": "dir 755 0:0", "/root": "dir 700 0:0",
    "/var": "dir 755 0:0", "/var/skel": "dir 2775 0:8", "/var/skel/core": "file 660 1000:8 mail\n",
}


def target(changed):
    """The target of a case: BASE with its changes, and nothing below what is not a folder any more."""
    gone = [path + "/" for path, entry in changed.items() if entry is None or not entry.startswith("dir ")]
    return {path: entry for path, entry in {**BASE, **changed}.items()
            if path in changed or not path.startswith(tuple(gone))}


def user(name="new", **more):
    return {"users": [{"name": name, **more}]}


def group(name="new", **more):
    return {"groups": [{"name": name, **more}]}


def with_line(path, line):
    return {path: BASE[path] + line}


# Name: the passwd part of a config, and what the target has beside or instead of BASE (None: it has not).
CASES = {
    "user": (user(), {}),
    "user-with-everything": (user(
        passwordHash="$6$h", uid=1234, gecos="A User", homeDir="/srv/deep/home", primaryGroup="staff",
        groups=["wheel", "mail"], shell="/bin/bash"), {}),
    "user-with-empty-hash": (user(passwordHash=""), {}),
    "user-without-home": (user(noCreateHome=True), {}),
    "user-without-group": (user(noUserGroup=True), {}),
    "user-of-the-system": (user(system=True), {}),
    "user-of-the-system-with-id": (user(system=True, uid=200, noLogInit=True), {}),
    "user-without-log-init": (user(uid=1002, noLogInit=True), {}),
    "user-with-a-low-id": (user(uid=500), {}),
    "user-with-a-high-id": (user(uid=4294967294), {}),
    "user-with-an-id-that-is-a-groups": (user(uid=1003), with_line("/etc/group", "taken:x:1003:\n")),
    "user-in-a-group-by-number": (user(groups=["10", "staff"], primaryGroup="100"), {}),
    "user-with-a-home-that-is-there": (user(homeDir="/home/open"), {}),
    "user-with-a-home-through-a-link": (user(), {"/home": "link 0:0 srv"}),
    "user-with-a-shell-that-is-none": (user(shell=""), {}),
    "user-with-odd-name": (user("Ünder_score.x$"), {}),
    "user-with-odd-gecos": (user(gecos="Ä, b = \"c\""), {}),
    "users-several": ({"users": [{"name": f"u{n}", "groups": ["wheel"]} for n in range(3)]}, {}),
    "user-and-its-group": ({"groups": [{"name": "crew", "gid": 700}], "users": [
        {"name": "new", "primaryGroup": "crew", "groups": ["crew", "wheel"]}]}, {}),
    "user-without-shadow": (user(passwordHash="$6$h"), {"/etc/shadow": None}),
    "user-without-gshadow": (user(groups=["wheel"]), {"/etc/gshadow": None}),
    "user-without-ranges": (user(), {"/etc/subuid": None, "/etc/subgid": None}),
    "user-without-settings": (user(), {"/etc/login.defs": None, "/etc/default/useradd": None}),
    "user-without-skeleton": (user(), {"/etc/skel": None}),
    "user-with-other-settings": (user(), {
        "/etc/login.defs": "file 644 0:0 HOME_MODE 0700\nUID_MIN 0x800\nUID_MAX 3000\nGID_MIN 2050\nSUB_UID_COUNT 100\n"
                            "SUB_GID_MIN 5\nSUB_GID_COUNT 5\nPASS_MAX_DAYS 30\nUSERGROUPS_ENAB yes\n",
        "/etc/default/useradd": "file 644 0:0 GROUP=staff\nHOME=/srv\nSHELL=/bin/zsh\nINACTIVE=3\nEXPIRE=2031-02-28\n"
                                 "SKEL=/var/skel\nLOG_INIT=no\n"}),
    "user-without-groups-of-users": (user(), {"/etc/login.defs": "file 644 0:0 UMASK 027\n"}),
    "user-with-default-group": (user(noUserGroup=True), {
        "/etc/default/useradd": "file 644 0:0 GROUP=50\nSHELL=\n"}),
    "user-after-the-highest-id": (user(), with_line("/etc/passwd", "last:x:60000:60000::/:\n")),
    "user-of-the-system-after-the-lowest": (user(system=True), with_line("/etc/passwd", "first:x:101:101::/:\n")),
    "user-in-the-first-hole-of-ranges": (user(), with_line("/etc/subuid", "a:100000:65536\nodd\nb:300000:9\n")),
    "present": (user("core"), {}),
    "present-as-wanted": (user("core", uid=1000, gecos="Core", homeDir="/home/core", shell="/bin/bash", primaryGroup="core",
                               groups=["wheel", "staff"], passwordHash="$6$old"), {}),
    "present-with-another-hash": (user("core", passwordHash="$6$new"), {}),
    "present-with-its-hash-in-passwd": (user("open", passwordHash="$6$new"), {}),
    "present-without-a-line-in-shadow": (user("late", passwordHash="$6$new"),
                                         with_line("/etc/passwd", "late:x:1005:100::/srv:/bin/sh\n")),
    "present-with-another-id": (user("core", uid=1002), {}),
    "present-with-another-id-and-group": (user("core", uid=1002, primaryGroup="staff"), {}),
    "present-with-another-group": (user("core", primaryGroup="wheel"), {}),
    "present-with-another-home": (user("core", homeDir="/srv/core/"), {}),
    "present-with-another-home-and-id": (user("core", homeDir="/srv/core", uid=1500), {}),
    "present-with-other-groups": (user("core", groups=["mail", "staff"]), {}),
    "present-with-gecos-and-shell": (user("core", gecos="", shell="/bin/zsh"), {}),
    "present-whose-home-is-not": (user("batch", homeDir="/srv/batch"), {}),
    "gone": (user("core", shouldExist=False), {}),
    "gone-whose-home-is-roots": (user("open", shouldExist=False), {}),
    "gone-whose-home-is-not": (user("batch", shouldExist=False), {}),
    "gone-whose-group-has-others": (user("core", shouldExist=False), with_line("/etc/passwd", "x:x:1009:1000::/:\n")),
    "gone-with-own-groups-kept": (user("core", shouldExist=False), {"/etc/login.defs": "file 644 0:0 "}),
    "absent": (user("nobody", shouldExist=False), {}),
    "group": (group(), {}),
    "group-with-everything": (group(gid=77, passwordHash="$6$g", system=True), {}),
    "group-of-the-system": (group(system=True), {}),
    "group-without-gshadow": (group(passwordHash="$6$g"), {"/etc/gshadow": None}),
    "group-present-with-another-id": (group("core", gid=1777), {}),
    "group-present-with-hash": (group("wheel", passwordHash="$6$g"), {}),
    "group-present-without-a-line-in-gshadow": (group("mail", passwordHash="$6$g"), {}),
    "group-gone": (group("staff", shouldExist=False), {}),
    "group-absent": (group("nobody", shouldExist=False), {}),
}
REFUSED = {
    "name-with-a-colon": (user("a:b"), {}), "name-with-a-blank": (user("a b"), {}), "name-too-long": (user("a" * 33), {}),
    "name-with-a-dash": (user("-a"), {}), "group-name-with-a-comma": (group("a,b"), {}),
    "id-in-use": (user(uid=1000), {}), "group-id-in-use": (group(gid=10), {}), "no-such-group": (user(groups=["no"]), {}),
    "no-such-primary-group": (user(primaryGroup="no"), {}), "own-group-is-there": (user("wheel"), {}),
    "primary-group-gone": (group("core", shouldExist=False), {}), "gecos-with-a-colon": (user(gecos="a:b"), {}),
    "home-is-there": (user("core", homeDir="/home/open"), {}),
    "several-lines": (user("core", gecos="x"), with_line("/etc/passwd", "core:x:1:1::/:\n")),
}
