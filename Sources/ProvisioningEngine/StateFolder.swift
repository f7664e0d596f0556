// What the stages of a boot of our own leave for each other: typed records, each in a file below /run/firstlight.

import BlockDevices
import Glibc
import IgnitionConfig
import JSONText
import LinuxSystem
import Reporting
import Synchronization
import SystemPackage

/// The files under `/run/firstlight`.
///
/// All have mode 0600 in a folder of mode 0700, because a config holds secrets. When no stage needs those any more,
/// ``forgetSecrets()`` removes them.
public struct StateFolder: Sendable {
    /// Where everything is that one boot leaves in RAM.
    static let folder = FilePath(runFolder)

    /// Where this one is; tests have theirs elsewhere.
    let place: FilePath
    private let memory = WrittenMemory()

    /// The folder of this boot.
    public init() { self.init(at: Self.folder) }

    init(at place: FilePath) { self.place = place }

    func path(_ name: String) -> FilePath { place.appending(name) }
    func path(_ file: RunFile) -> FilePath { path(file.rawValue) }

    func save(_ bytes: [UInt8], as name: String, mode: mode_t = 0o600) throws {
        try step("saving \(path(name))") {
            try Files.makeFolder(place, mode: 0o700)
            try Files.write(bytes, to: path(name), mode: mode)
        }
    }

    func save(_ value: JSONValue, as file: RunFile, mode: mode_t = 0o600) throws {
        try save(Array(value.text(.pretty).utf8), as: file.rawValue, mode: mode)
    }

    func save(_ record: some StateRecord) throws { try save(record.bytes, as: type(of: record).file.rawValue) }

    /// The record; `nil` where no stage has left it.
    ///
    /// - Throws: ``UnreadableState`` where a file is there and cannot be used. It must not count as missing: the machine
    ///   would be provisioned without what it says.
    func load<Record: StateRecord>(_: Record.Type = Record.self) throws(UnreadableState) -> Record? {
        let bytes: [UInt8]
        do { bytes = try Files.read(path(Record.file)) } catch {
            if error.reason == .noSuchFileOrDirectory { return nil }
            throw UnreadableState(file: Record.file, reason: error.reason)
        }
        guard let record = Record(parsing: bytes) else { throw UnreadableState(file: Record.file) }
        return record
    }

    // MARK: For those who look at the boot

    /// Keeps the plan of the disks.
    ///
    /// No stage reads it.
    func keep(plan: JSONValue) {
        // That it cannot be kept must not stop what it is about.
        try? save(plan, as: .plan)
    }

    /// One phrase for each change made to a disk or to the real root at this boot, for failures up to its very end;
    /// `nil`: there may have been some, and nobody knows.
    public var written: [String]? {
        // What could not be kept, because /run was full, this process still knows.
        let remembered = memory.phrases
        guard let kept = try? load(WrittenRecord.self) ?? WrittenRecord() else {
            return remembered.isEmpty ? nil : remembered
        }
        return kept.phrases + remembered.filter { !kept.phrases.contains($0) }
    }

    func recordWrite(_ phrase: String) {
        memory.add(phrase)
        var record = (try? load() ?? WrittenRecord()) ?? WrittenRecord()
        // After a failure everything is tried again.
        if record.phrases.contains(phrase) { return }
        record.phrases = written ?? []
        // A report that cannot be kept must not stop what is under way on a disk.
        do { try save(record) } catch { markUnknown() }
    }

    /// Leaves a file that says nothing, where there is none: other processes are not to take it that nothing was written.
    private func markUnknown() {
        let file = open(path(.written).string, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        if file >= 0 { close(file) }
    }

    // MARK: What is under way

    /// Keeps what is under way, for whoever has to tell that it never ended.
    ///
    /// - Parameters:
    ///   - step: What is under way; it holds no secret.
    ///   - stage: A stage that is a process of its own; `nil` is the boot as PID 1, whose file supervisor.c reads too.
    public func begin(_ step: StepRecord, stage: StageName? = nil) {
        // That it cannot be kept must not stop what is about to begin.
        try? Files.makeFolder(place, mode: 0o700)
        try? Files.write(step.text, to: path(Self.stepFile(stage)), mode: 0o600)
    }

    /// A stage that is a process of its own has ended by itself, and has told how.
    public func end(stage: StageName) { try? Files.remove(path(Self.stepFile(stage))) }

    /// What was under way when an agent died; `nil` where nothing was.
    public func stepUnderWay(stage: StageName? = nil) -> StepRecord? {
        (try? Files.read(path(Self.stepFile(stage)))).flatMap { bytes in
            StepRecord(reading: String(decoding: bytes, as: UTF8.self))
        }
    }

    private static func stepFile(_ stage: StageName?) -> String {
        stage.map { RunFile.stepOfStage.name(of: $0.rawValue) } ?? RunFile.step.rawValue
    }
}

extension StateFolder: SessionStore {
    // MARK: The config

    /// How much is known of the config.
    public var configProgress: ConfigProgress {
        get throws { try load(ConfigRecord.self).map { $0.isWhole ? .complete : .incomplete } ?? .unknown }
    }

    /// Records that there is none, so that nobody looks for it again.
    public func keepNoConfig() throws { try save(ConfigRecord(source: nil, isWhole: true)) }

    /// Keeps a config as it was found.
    public func keep(_ config: FetchedConfig, isWhole: Bool) throws {
        try save(config.bytes, as: RunFile.config.rawValue)
        try save(ConfigRecord(source: config.source, isWhole: isWhole))
    }

    /// Keeps the config, made whole, in the place of what was found.
    public func keep(whole config: IgnitionConfig) throws {
        var config = config
        // The references have been followed; code that reads the config again must not follow them once more.
        config.ignition.config = .init()
        let bytes = Array(config.json.text(.pretty).utf8)
        try keep(FetchedConfig(source: "\(path(.config))", bytes: bytes), isWhole: true)
    }

    /// The config as it was kept; `nil` where there is none.
    public func fetchedConfig() throws -> FetchedConfig? {
        guard let source = try load(ConfigRecord.self)?.source else { return nil }
        return try step("reading the fetched config") {
            FetchedConfig(source: source, bytes: try Files.read(path(.config)))
        }
    }

    /// Whether somebody gave a config.
    public var hasUserConfig: Bool { get throws { try load(ConfigRecord.self)?.source != nil } }

    /// Files for the real root that the platform gave beside the config.
    public var platformFiles: JSONValue { get throws { try load(PlatformFilesRecord.self)?.files ?? .null } }

    /// Keeps the platform's files.
    public func keep(platformFiles: JSONValue) throws { try save(PlatformFilesRecord(files: platformFiles)) }

    // MARK: Disks and mounts

    /// Kernel names of devices by the config's paths, as the disks stage planned them.
    public var nodes: [String: String] { get throws { try load(NodesRecord.self)?.nodes ?? [:] } }

    /// Keeps the kernel names of devices.
    public func keep(nodes: [String: String]) throws { try save(NodesRecord(nodes: nodes)) }

    /// What the look at the disks came to.
    ///
    /// It only helps to tell people what has changed since, so one that cannot be read stops nothing.
    public var look: DiskLook? { try? load(LookRecord.self)?.look }

    /// Keeps what the look came to.
    public func keep(look: DiskLook) throws { try save(LookRecord(look: look)) }

    private var mounts: MountRecord { get throws { try load() ?? MountRecord() } }

    private func changeMounts(_ change: (inout MountRecord) -> Void) throws {
        var record = try mounts
        change(&record)
        try save(record)
    }

    /// The folders that were made to mount the config's filesystems on, absolute in the real root.
    public var mountFolders: [String] { get throws { try mounts.folders } }

    /// Adds a folder that was made to mount something on.
    public func keep(mountFolder: String) throws { try changeMounts { $0.folders.append(mountFolder) } }

    /// What is mounted now, in the order of mounting, absolute in the real root.
    public var mounted: [String]? { get throws { try mounts.mounted } }

    /// Adds what is mounted now.
    public func keep(mounted path: String) throws { try changeMounts { $0.mounted.append(path) } }

    /// Removes what is mounted no more.
    public func forget(mounted path: String) throws { try changeMounts { $0.mounted.removeAll { $0 == path } } }

    // MARK: LUKS volumes

    /// The LUKS volumes of this boot.
    public var volumes: [KeptVolume]? { get throws { try keptVolumes } }

    private var keptVolumes: [KeptVolume] { get throws { try load(VolumesRecord.self)?.volumes ?? [] } }

    private func keyFile(_ volume: String) -> FilePath { path(Self.keyName(volume)) }
    private static func keyName(_ volume: String) -> String { RunFile.volumeKey.name(of: volume) }

    /// Keeps a volume and its key.
    public func keep(_ volume: KeptVolume, key: SecretBytes?) throws {
        try key?.withBytes { key throws in try save(Array(key), as: Self.keyName(volume.name)) }
        let others = try keptVolumes.filter { $0.name != volume.name }
        try save(VolumesRecord(volumes: others + [volume]))
    }

    /// The keys that are there.
    public func keys() throws -> [String: SecretBytes] {
        var keys: [String: SecretBytes] = [:]
        for volume in try keptVolumes where Files.exists(keyFile(volume.name)) {
            keys[volume.name] = try key(of: volume.name)
        }
        return keys
    }

    /// The key of one volume.
    public func key(of volume: String) throws -> SecretBytes {
        try step("reading the key of the LUKS volume \(volume)") {
            try SecretBytes(contentsOf: keyFile(volume))
        }
    }

    /// Removes all keys.
    public func forgetKeys() throws {
        for volume in try keptVolumes where Files.exists(keyFile(volume.name)) {
            try step("removing a key") { try Files.erase(keyFile(volume.name)) }
        }
    }

    private static func provenName(_ volume: String) -> String { RunFile.provenKey.name(of: volume) }

    /// Keeps the key of a volume's data behind the 32 bytes of its proof.
    public func keep(_ key: ProvenKey, of volume: String) throws {
        try key.key.withBytes { bytes throws in
            try save(key.proof + Array(bytes), as: Self.provenName(volume))
        }
    }

    /// What was kept of these volumes; what cannot be read is derived again.
    public func provenKeys(of volumes: Set<String>) -> [String: ProvenKey] {
        var keys: [String: ProvenKey] = [:]
        for volume in volumes {
            guard let bytes = try? Files.read(path(Self.provenName(volume))), bytes.count > 32 else { continue }
            keys[volume] = ProvenKey(proof: Array(bytes.prefix(32)), key: SecretBytes(Array(bytes.dropFirst(32))))
        }
        return keys
    }

    /// Removes what was kept so.
    public func forgetProvenKeys() throws {
        for name in Files.names(in: place) where RunFile.provenKey.isName(name) {
            try step("removing a key") { try Files.erase(path(name)) }
        }
    }

    // MARK: The end

    /// Removes the user's config, the keys of LUKS volumes and whatever else came out of them.
    ///
    /// Anybody may read what stays: the folder gets mode 0755, and only the log remains root's.
    func forgetSecrets() throws {
        try step("removing the config and its secrets") {
            for name in Files.names(in: place) where Self.isSecret(name) {
                try Files.erase(path(name))
            }
            // A config that somebody put into /run outlives the initramfs, which its other folders do not.
            if let config = SystemConfigFolders(variable).userConfig, config.starts(with: "/run") {
                try Files.erase(config)
            }
            guard chmod(place.string, 0o755) == 0 else {
                throw FileFault("set the mode of", place, Errno(rawValue: errno))
            }
        }
    }

    /// Whether a file has content of the config, or content fetched for it, or an unfinished part of such a file.
    static func isSecret(_ name: String) -> Bool {
        [RunFile.config, .configRecord, .platformFiles, .volumes, .scratch].contains { $0.rawValue == name }
            || RunFile.volumeKey.isName(name) || RunFile.provenKey.isName(name)
            || (name.hasPrefix(".") && name.hasSuffix(".firstlight"))
    }

    /// Where content is that is under way to its file.
    static let scratch = FilePath(RunFile.scratch.path)
}

/// The phrases of this process, for as long as it runs.
private final class WrittenMemory: Sendable {
    private let list = Mutex<[String]>([])

    var phrases: [String] { list.withLock { $0 } }

    func add(_ phrase: String) {
        list.withLock { if !$0.contains(phrase) { $0.append(phrase) } }
    }
}

/// What a stage has left is not what this program leaves.
struct UnreadableState: Error, Equatable, CustomStringConvertible, Advising {
    var file: RunFile
    /// `nil`: it can be read, and holds something else.
    var reason: Errno?

    var description: String {
        reason.map { "cannot read \(file.path): \($0)" } ?? "\(file.path) is not as the stages leave it"
    }

    var advice: [String] {
        file == .configRecord
            ? ["Remove \(file.path): the config is then looked for again."]
            : ["Restart the machine: all stages then run again, and leave a new one."]
    }
}

/// A stage that ought to have run before has left nothing.
struct MissingState: Error, CustomStringConvertible, Advising {
    var file: RunFile
    var stage: StageName

    var description: String { "\(file.path) is missing: the stage \(stage.rawValue) has not run" }
    var advice: [String] { ["Run `firstlight stage \(stage.rawValue)`, then this one again."] }
}
