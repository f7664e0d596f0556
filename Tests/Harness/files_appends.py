"""Appending over several boots, on a disk that persists: each fragment once, whatever is done to the file between."""

import file_trees
from files_roots import OnDisk, boot, chosen, stage, tell

# Name: what the file holds before the first boot (None: it is not there); then in turn the lines that a boot wants
# appended, what programs add to the file once it runs, and what the file holds then.
CASES = {
    "same": ("begin\n", (["one", "two"], "", "begin\none\ntwo\n"), (["one", "two"], "", "begin\none\ntwo\n")),
    "log-grows": ("begin\n", (["one"], "more\n", "begin\none\nmore\n"), (["one"], "", "begin\none\nmore\n")),
    "one-more": ("begin\n", (["one"], "", "begin\none\n"), (["one", "two"], "", "begin\none\ntwo\n"),
                 (["one", "two"], "", "begin\none\ntwo\n")),
    "one-less": ("begin\n", (["one", "two"], "", "begin\none\ntwo\n"), (["two"], "", "begin\none\ntwo\n")),
    "one-before": ("begin\n", (["two"], "", "begin\ntwo\n"), (["one", "two"], "", "begin\ntwo\none\n"),
                   (["one", "two"], "", "begin\ntwo\none\n")),
    "the-same-twice": ("", (["one", "one"], "", "one\none\n"), (["one", "one"], "", "one\none\n")),
    "made-by-it-and-one-more": (None, (["one", "two"], "", "one\ntwo\n"),
                                (["one", "two", "three"], "", "one\ntwo\nthree\n"),
                                (["one", "two", "three"], "", "one\ntwo\nthree\n")),
    "there-by-hand-and-one-more": ("begin\none\n", (["one", "two"], "", "begin\none\ntwo\n"),
                                   (["one", "two"], "", "begin\none\ntwo\n")),
}


def judge(kind: OnDisk, name: str) -> str:
    begin, *boots = CASES[name]
    kind.lay(name, {"/etc": "dir 755 0:0", "/log": None if begin is None else f"file 640 3:4 {begin}"})
    path = file_trees.ROOT / "log"
    for number, (lines, added, wanted) in enumerate(boots, 1):
        fragments = [{"source": f"data:,{line}%0A"} for line in lines]
        boot(kind, {"storage": {"files": [{"path": "/log", "append": fragments}]}})
        status, said = stage("files")
        if status:
            return f"boot {number}: expected exit status 0\nfound {status}: {said}"
        with open(path, "a") as file:
            file.write(added)
        if path.read_text() != wanted:
            return f"boot {number}: expected {wanted!r}\nfound {path.read_text()!r}"
    status, wanted = path.stat(), (0o640, 3, 4) if begin is not None else (0o644, 0, 0)
    found = status.st_mode & 0o7777, status.st_uid, status.st_gid
    return "" if found == wanted else f"expected mode, user and group {wanted}\nfound {found}"


def appends() -> int:
    kind = OnDisk()
    wanted = chosen(list(CASES))
    return tell(dict(zip(wanted, file_trees.in_own_mounts(lambda name: judge(kind, name), wanted, kind.begin))))
