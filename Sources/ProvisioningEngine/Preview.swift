// Shows what a config would do to this machine, before there is a boot. Writes nothing.

import BlockDevices
import BootArguments
import DiskPlanning
import Fetching
import FilePlanning
import Glibc
import IgnitionConfig
import JSONText
import LinuxSystem
import Reporting
import SystemPackage
import TargetRoot

/// The plan of the disks, of a system's files where one is given, and of the kernel's arguments.
public struct ProvisioningPreview {
    /// What it comes to.
    public enum Verdict: Sendable {
        case nothing
        case changes
        /// Data would be out of reach afterwards.
        case destroys
    }

    private let disks: StoragePlan
    private let files: FilesPreview?
    private let arguments: KernelArgumentChanges
    private let namesDisks: Bool

    /// Fetches what the config refers to, as the boot does, and plans.
    ///
    /// - Parameters:
    ///   - text: The config, and what messages call it.
    ///   - root: A system whose users, files and units count, too.
    ///   - isOffline: Nothing is fetched from another machine; where the config refers to one, that is an error.
    ///   - images: Image files that stand for the disks of another machine, by the config's paths. Where there are any,
    ///     nothing of this machine counts.
    ///   - waits: Told of what is waited for: a server that does not answer is asked for ever.
    ///   - warn: Called with what is odd about the config.
    /// - Throws: What is wrong with the config, or in the way of the plan.
    public init(
        of text: IgnitionConfig.PlacedText, root: FilePath?, isOffline: Bool, images: [String: String] = [:],
        waits: Waits = .untold, warn: @escaping (String) -> Void
    ) throws {
        if let root { try Files.requireFolder(root) }
        var settings = FetchSettings()
        settings.isOffline = isOffline
        settings.waits = waits
        let fetcher = ResourceFetcher(settings)
        let config = try Self.wholeConfig(text, through: fetcher, warn: warn)
        let running = images.isEmpty ? (try? Files.read("/proc/cmdline")) ?? [] : []
        arguments = KernelArgumentChanges(config.kernelArguments, on: BootArguments(bytes: running).commandLine)
        var access = DiskAccess.settled
        access.images = images
        access.waits = waits
        let pool = ResourceFetcherPool(fetcher.settings)
        access.keys = VolumeKeys { try pool.write($0, to: $1) }
        var disks = try DiskStage.plan(config.storage, access: access)
        disks.warnOfKeysInRAM()
        self.disks = disks
        files = try root.map { try Self.preview(config, of: TargetRoot($0), fetcher) }
        namesDisks = config.storage.namesDisks
    }

    private static func preview(
        _ config: IgnitionConfig, of target: TargetRoot, _ fetcher: ResourceFetcher
    ) throws -> FilesPreview {
        let scratch = FilePath("\(access("/run", W_OK) == 0 ? "/run" : "/tmp")/firstlight-plan-\(getpid())")
        defer { rmdir(scratch.string) }
        return try step("looking at \(target.root)") {
            let pool = ResourceFetcherPool(fetcher.settings)
            return try target.preview(config, scratch: scratch) { try pool.write($0, to: $1) }
        }
    }

    /// Reads a config, checks it and follows what it refers to, as the boot does.
    ///
    /// - Parameters:
    ///   - text: The config, and what messages call it.
    ///   - fetcher: Has the whole config's timeouts, proxy and certificate authorities afterwards. Where its settings
    ///     are offline, a reference to another machine is an error.
    ///   - warn: Called with what is odd about the config.
    /// - Returns: The whole, its references still in it; an empty config where one that is referred to is empty.
    /// - Throws: What is wrong with a config, or why one cannot be fetched.
    static func wholeConfig(
        _ text: IgnitionConfig.PlacedText, through fetcher: ResourceFetcher, warn: @escaping (String) -> Void
    ) throws -> IgnitionConfig {
        let parsed = IgnitionConfig.parse(text.config, source: text.source)
        for warning in parsed.report.warnings { warn("\(warning)") }
        let config = try parsed.checked()
        try config.checkSupport()
        let whole = try ConfigCompletion(fetcher, proxy: nil, warn: warn).complete(config) ?? IgnitionConfig()
        try whole.checkSupport()
        return whole
    }

    /// What the plan comes to.
    public var verdict: Verdict {
        if !disks.destroyed.isEmpty || files?.destroyed.isEmpty == false { return .destroys }
        return disks.isEmpty && files?.changes.isEmpty != false ? .nothing : .changes
    }

    /// For people.
    public var lines: [PlanLine] {
        arguments.warnings.map { PlanLine("warning: \($0)", .warns) } + (files?.planLines ?? [])
            + (namesDisks || files == nil ? disks.planLines : [])
    }

    /// For programs.
    public var json: JSONValue {
        var json = disks.json
        json["files"] = files?.json
        json["kernelArguments"] = arguments.json
        return json
    }
}

extension BootFailure {
    /// What `plan --json` prints where there is no plan: the error, the steps under way, the advice, and each
    /// conflict of the config with the disks or with the files of the root, with its device or its path and its place
    /// in the config.
    public var json: JSONValue {
        func texts(_ some: [String]) -> JSONValue { .array(some.map { .string($0) }) }
        var conflicts = ((cause as? DiskRefusal)?.conflicts ?? []).map { conflict -> JSONValue in
            [
                "device": .string(conflict.device), "reason": .string("\(conflict)"),
                "place": .string("\(conflict.origin)"), "advice": texts(conflict.advice),
            ]
        }
        if let files = cause as? FileConflicts {
            conflicts += files.conflicts.map { conflict in
                [
                    "path": .string(conflict.path), "reason": .string("\(conflict)"),
                    "place": .string("\(conflict.origin)"),
                    "advice": texts(conflict.advice(in: files.root).map { [$0] } ?? []),
                ]
            }
        }
        return [
            "error": .string("\(cause)"), "steps": texts(steps), "advice": texts(advice),
            "conflicts": .array(conflicts),
        ]
    }
}

/// What a device or an image file holds, for programs.
public func deviceDescription(_ path: String) throws -> JSONValue { try DeviceDescription(path).json }
