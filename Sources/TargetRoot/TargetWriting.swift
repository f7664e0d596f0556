// Writing: a plan's steps, one after the other.

import Glibc
import IgnitionConfig
import LinuxSystem
import Provisioning
import Reporting
import SystemPackage

extension TargetRoot {
    /// What applying a plan left behind.
    public struct Applied: Equatable, Sendable {
        /// Made or changed paths, absolute in the target; of new folders the topmost.
        public var touched: [String] = []
        public var warnings: [String] = []
        /// The accounts as they are now, read when first needed.
        fileprivate var accounts: TargetAccounts?
    }

    /// Does what the plan says, in its order; the files that follow each other are fetched several at a time.
    ///
    /// - Throws: ``BootFailure`` naming the step and its place in the config. Steps before it are done.
    public func apply(
        _ plan: FilesPlan, giveUp: () -> Void = {}, fetch: FetchContent
    ) throws -> Applied {
        var applied = Applied()
        var rest = plan.steps[...]
        while let first = rest.first {
            let files = rest.prefix(while: \.action.isFile)
            if files.count(where: \.action.isFetched) > 1 {
                try writeFiles(Array(files), giveUp: giveUp, fetch: fetch, &applied)
                rest = rest.dropFirst(files.count)
            } else {
                try named(first) { try perform(first.action, fetch: fetch, &applied) }
                rest.removeFirst()
            }
        }
        return applied
    }

    private func named<Result>(_ planned: FilesPlan.Step, _ body: () throws -> Result) throws -> Result {
        let place = planned.origin.description
        return try step("\(planned.action)" + (place.isEmpty ? "" : " (\(place))"), body)
    }

    private func perform(_ action: FileAction, fetch: FetchContent, _ applied: inout Applied) throws {
        switch action {
        case .account(let account):
            if let warning = try perform(account) { applied.warnings.append(warning) }
            applied.accounts = nil
            applied.touched += ["passwd", "group", "shadow", "gshadow", "subuid", "subgid", ".pwd.lock"].map {
                "/etc/\($0)"
            }
            // Its last argument is the account; a new user's home is new too.
            if let user = account.arguments.last.flatMap({ accounts().user(named: $0) }) {
                applied.touched.append(user.home)
            }
        case .claim(let folders, let user):
            guard let owner = accounts().user(named: user) else { throw TargetFault.noSuchUser(user) }
            for folder in folders {
                let place = try resolve(folder)
                try setOwner(of: place, owner.uid, owner.gid)
                try setMode(of: place, 0o700)
            }
        case .authorizedKeys(let user, let text):
            if let path = try writeAuthorizedKeys(text, of: user) { applied.touched.append(path) }
        case .makeFolder(let path, let mode, let owner, let replacing):
            let place = try prepare(path, replacing: replacing, &applied)
            try check("make", place) { mkdir($0, 0o700) }
            try setOwner(of: place, owner, &applied)
            try setMode(of: place, mode)
        case .writeFile(let path, let content, let mode, let owner, let replacing):
            try writeFile(path, content, mode: mode, owner: owner, replacing: replacing, fetch: fetch, &applied)
        case .append(let path, let resources):
            try append(resources, to: path, fetch: fetch)
            applied.touched.append(path)
        case .setAttributes(let path, let mode, let owner):
            let place = try resolve(path)
            try setOwner(of: place, owner, &applied)
            if let mode { try setMode(of: place, mode) }
            applied.touched.append(place)
        case .makeLink(let path, let target, let owner, let replacing):
            let place = try prepare(path, replacing: replacing, &applied)
            let temporary = temporary(beside: place, "link")
            try check("link", place) { _ in symlink(target, temporary.string) }
            try setOwner(of: inside(temporary), owner, &applied)
            try check("link", place) { rename(temporary.string, $0) }
        case .makeHardLink(let path, let target, let replacing):
            let place = try prepare(path, replacing: replacing, &applied)
            let temporary = temporary(beside: place, "link")
            let file = outside(try resolve(target))
            try check("link", place) { _ in link(file.string, temporary.string) }
            try check("link", place) { rename(temporary.string, $0) }
            // Between two names of one file rename(2) does nothing.
            unlink(temporary.string)
        case .removeLink(let path):
            try check("remove", try resolve(path)) { unlink($0) }
        case .preset(let enabled, let disabled):
            applied.warnings += try preset(enabled, disabled)
        }
    }

    /// - Returns: A warning where the account is as wanted and something else is not.
    private func perform(_ account: AccountCommand) throws -> String? {
        do throws(Command.Failure) {
            _ = try run(command(account.program, account.arguments))
            return nil
        } catch {
            switch error {
            case .missing: throw TargetFault.noProgram(account.program)
            // The user is gone, but not a home that others share or that is not there; see userdel(8).
            case .failed(_, status: 12, let said) where account.program == "userdel": return said
            default: throw error
            }
        }
    }

    // MARK: Files

    /// A file under way: its content comes beside its place and takes it in one step.
    private struct FileUnderWay {
        /// Absolute in the target.
        var place: String
        var file: FilePath
        /// Room for one of its parts.
        var part: FilePath
    }

    /// Writes files whose content other machines hold: it is fetched several at a time, and the files take their
    /// places one after the other.
    private func writeFiles(
        _ steps: [FilesPlan.Step], giveUp: () -> Void, fetch: FetchContent, _ applied: inout Applied
    ) throws {
        var underWay: [FileUnderWay] = []
        var contents: [PlannedContent] = []
        defer {
            for file in underWay {
                unlink(file.file.string)
                unlink(file.part.string)
            }
        }
        for planned in steps where planned.action.isFetched {
            guard case .writeFile(let path, let content, _, _, let replacing) = planned.action else { continue }
            underWay.append(
                try named(planned) {
                    try begin(path, replacing: replacing, number: "-\(underWay.count)", &applied)
                })
            contents.append(content)
        }
        let progress = Monitor(FetchProgress())
        let files = underWay
        try withThread {
            inParallel(files.count, limit: Self.fetchesAtOnce) { number in
                if progress.change({ $0.isStopped }) { return }
                let result = Swift.Result {
                    try write(contents[number], to: files[number].file, part: files[number].part, fetch: fetch)
                }
                progress.change { $0.results[number] = result }
            }
        } meanwhile: {
            do {
                var number = 0
                for planned in steps {
                    try named(planned) {
                        guard planned.action.isFetched,
                            case .writeFile(_, _, let mode, let owner, _) = planned.action
                        else { return try perform(planned.action, fetch: fetch, &applied) }
                        defer { number += 1 }
                        try progress.wait { $0.results.removeValue(forKey: number) }.get()
                        try finish(files[number], mode: mode, owner: owner, &applied)
                    }
                }
            } catch {
                progress.change { $0.isStopped = true }
                giveUp()
                throw error
            }
        }
    }

    /// What fetching threads tell the one that writes.
    private struct FetchProgress {
        var results: [Int: Swift.Result<Void, any Error>] = [:]
        var isStopped = false
    }

    private static let fetchesAtOnce = 8

    private func writeFile(
        _ path: String, _ content: PlannedContent, mode: UInt32, owner: PlannedOwner, replacing: Bool,
        fetch: FetchContent, _ applied: inout Applied
    ) throws {
        let underWay = try begin(path, replacing: replacing, number: "", &applied)
        do {
            try write(content, to: underWay.file, part: underWay.part, fetch: fetch)
            try finish(underWay, mode: mode, owner: owner, &applied)
        } catch {
            unlink(underWay.file.string)
            throw error
        }
    }

    private func begin(
        _ path: String, replacing: Bool, number: String, _ applied: inout Applied
    ) throws -> FileUnderWay {
        // A file gives way to its successor by rename(2), in one step; only a folder has to go before.
        let place = try prepare(path, replacing: replacing, &applied, onlyFolders: true)
        return FileUnderWay(
            place: place, file: temporary(beside: place, "file\(number)"),
            part: temporary(beside: place, "part\(number)"))
    }

    private func finish(
        _ underWay: FileUnderWay, mode: UInt32, owner: PlannedOwner, _ applied: inout Applied
    ) throws {
        try setOwner(of: inside(underWay.file), owner, &applied)
        try setMode(of: inside(underWay.file), mode)
        try synchronize(underWay.file)
        try check("write", underWay.place) { rename(underWay.file.string, $0) }
    }

    /// Writes content into a new file of mode 0600; `part` is room for one of its parts.
    func write(_ content: PlannedContent, to file: FilePath, part: FilePath, fetch: FetchContent) throws {
        unlink(file.string)
        let descriptor = open(file.string, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw TargetFault.cannot("write", path: inside(file), Errno(rawValue: errno)) }
        defer { close(descriptor) }
        for piece in content.parts {
            switch piece {
            case .text(let text): try put(Array(text.utf8), into: descriptor, file)
            case .resource(let resource) where (resource.source ?? "").isEmpty: break
            case .resource(let resource):
                if content.parts.count == 1 {
                    try fetch(resource, file)
                } else {
                    defer { unlink(part.string) }
                    try fetch(resource, part)
                    try copy(part, into: descriptor, file)
                }
            }
        }
    }

    private func append(_ resources: [IgnitionConfig.Resource], to path: String, fetch: FetchContent) throws {
        let place = outside(try resolve(path))
        let addition = temporary(beside: try resolve(path), "file")
        let part = temporary(beside: try resolve(path), "part")
        defer { unlink(addition.string) }
        // Fetched whole before the first byte is added: a lost connection must not leave half of it.
        try write(PlannedContent(resources.map { .resource($0) }), to: addition, part: part, fetch: fetch)
        let descriptor = open(place.string, O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC)
        guard descriptor >= 0 else { throw TargetFault.cannot("append to", path: path, Errno(rawValue: errno)) }
        defer { close(descriptor) }
        try copy(addition, into: descriptor, place)
        fsync(descriptor)
    }

    private func copy(_ source: FilePath, into descriptor: Int32, _ place: FilePath) throws {
        let input = open(source.string, O_RDONLY | O_CLOEXEC)
        guard input >= 0 else { throw TargetFault.cannot("read", path: inside(source), Errno(rawValue: errno)) }
        defer { close(input) }
        var buffer = [UInt8](repeating: 0, count: 256 << 10)
        while true {
            let count = read(input, &buffer, buffer.count)
            if count == 0 { return }
            if count > 0 {
                try put(buffer[..<count], into: descriptor, place)
            } else if errno != EINTR {
                throw TargetFault.cannot("read", path: inside(source), Errno(rawValue: errno))
            }
        }
    }

    private func put(_ bytes: some Collection<UInt8>, into descriptor: Int32, _ place: FilePath) throws {
        do throws(Errno) {
            try Files.writeAll(bytes, to: descriptor)
        } catch {
            throw TargetFault.cannot("write", path: inside(place), error)
        }
    }

    /// On a real disk a file's name must not outlive its content through a power cut.
    private func synchronize(_ file: FilePath) throws {
        let descriptor = open(file.string, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw TargetFault.cannot("read", path: inside(file), Errno(rawValue: errno)) }
        defer { close(descriptor) }
        if fsync(descriptor) != 0 { throw TargetFault.cannot("write", path: inside(file), Errno(rawValue: errno)) }
    }

    // MARK: Places

    /// Makes the folders above a path and, with `replacing`, removes what is there.
    ///
    /// - Returns: Where the path leads, absolute in the target.
    private func prepare(
        _ path: String, replacing: Bool, _ applied: inout Applied, onlyFolders: Bool = false
    ) throws -> String {
        let place = try resolve(path)
        applied.touched.append(try makeParents(of: place) ?? place)
        if replacing {
            switch component(at: place) {
            case .nothing: break
            case .folder: try removeTree(place)
            case .link, .other: if !onlyFolders { try check("remove", place) { unlink($0) } }
            }
        }
        return place
    }

    /// Makes missing folders above a resolved path, mode 0755; returns the topmost new one.
    func makeParents(of place: String) throws -> String? {
        guard let slash = place.lastIndex(of: "/"), slash > place.startIndex else { return nil }
        let parent = String(place[..<slash])
        if case .folder = component(at: parent) { return nil }
        let topmost = try makeParents(of: parent)
        try check("make", parent) { mkdir($0, 0o755) }
        try setMode(of: parent, 0o755)
        return topmost ?? parent
    }

    /// Removes a folder and what is in it, but nothing of another filesystem.
    private func removeTree(_ place: String) throws {
        let folder = outside(place)
        guard let device = Files.status(folder, followingLinks: false)?.st_dev else { return }
        for name in Files.names(in: folder) {
            let inner = "\(place)/\(name)"
            guard let status = Files.status(outside(inner), followingLinks: false) else { continue }
            if status.st_dev != device { throw TargetFault.holdsMount(inner) }
            if status.st_mode & S_IFMT == S_IFDIR {
                try removeTree(inner)
            } else {
                try check("remove", inner) { unlink($0) }
            }
        }
        try check("remove", place) { rmdir($0) }
    }

    /// A name of ours in the same folder; nothing stands there.
    private func temporary(beside place: String, _ purpose: String) -> FilePath {
        let path = outside(place).removingLastComponent().appending(".firstlight-\(purpose)")
        unlink(path.string)
        return path
    }

    /// A path of ours as the target's, for messages and further calls.
    func inside(_ path: FilePath) -> String {
        guard root.string != "/", path.string.hasPrefix(root.string) else { return path.string }
        return String(path.string.dropFirst(root.string.count))
    }

    /// Calls a function of libc with our path of `place`; -1 is a failure with errno.
    func check(_ act: String, _ place: String, _ call: (String) -> Int32) throws(TargetFault) {
        if call(outside(place).string) != 0 { throw .cannot(act, path: place, Errno(rawValue: errno)) }
    }

    // MARK: Owners and modes

    private func setOwner(of place: String, _ owner: PlannedOwner, _ applied: inout Applied) throws {
        if owner == .unchanged { return }
        let accounts = applied.accounts ?? accounts()
        applied.accounts = accounts
        var (user, group): (uid_t?, gid_t?)
        switch owner.user {
        case nil: break
        case .number(let id): user = id
        case .name(let name):
            user = accounts.user(named: name)?.uid
            if user == nil { throw TargetFault.noSuchUser(name) }
        }
        switch owner.group {
        case nil: break
        case .number(let id): group = id
        case .name(let name):
            group = accounts.group(named: name)?.gid
            if group == nil { throw TargetFault.noSuchGroup(name) }
        }
        try setOwner(of: place, user, group)
    }

    /// lchown(2); `nil` leaves the owner.
    func setOwner(of place: String, _ user: uid_t?, _ group: gid_t?) throws(TargetFault) {
        if user == nil, group == nil { return }
        try check("set the owner of", place) { lchown($0, user ?? uid_t.max, group ?? gid_t.max) }
    }

    /// After the owner: a change of owner clears the setuid bit.
    func setMode(of place: String, _ mode: UInt32) throws(TargetFault) {
        if case .link = component(at: place) { return }
        try check("set the mode of", place) { chmod($0, mode) }
    }

    // MARK: Units

    /// Lets the target's systemctl make and remove the links that enable units.
    ///
    /// - Returns: Why some units are not enabled. The boot goes on: so would the units' own system.
    private func preset(_ enabled: [String], _ disabled: [String]) throws(Command.Failure) -> [String] {
        do throws(Command.Failure) {
            _ = try run(command("systemctl", ["preset"] + enabled + disabled))
            return []
        } catch {
            switch error {
            case .missing: return ["the target has no systemctl: no unit is enabled or disabled"]
            case .failed(_, _, let said) where enabled.count + disabled.count == 1:
                // One that cannot be disabled is none that would start.
                return enabled.map { "\($0) is not enabled: \(said)" }
            case .failed: break
            case .unstartable: throw error
            }
        }
        // One that fails keeps systemctl from doing the others.
        var warnings: [String] = []
        for unit in enabled { warnings += try preset([unit], []) }
        for unit in disabled { warnings += try preset([], [unit]) }
        return warnings
    }
}

extension FileAction {
    fileprivate var isFile: Bool {
        guard case .writeFile = self else { return false }
        return true
    }

    /// Whether another machine has to be asked for some of it.
    fileprivate var isFetched: Bool {
        guard case .writeFile(_, let content, _, _, _) = self else { return false }
        return content.parts.contains { part in
            guard case .resource(let resource) = part, let source = resource.source, !source.isEmpty else {
                return false
            }
            return !source.lowercased().hasPrefix("data:")
        }
    }
}
