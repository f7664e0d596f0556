// What a person at a shell can ask: what would this config do, what is on this disk.

import BlockDevices
import BootArguments
import Devices
import DiskPlanning
import Fetching
import FilePlanning
import Glibc
import IgnitionConfig
import JSONText
import LinuxSystem
import Logging
import Reporting
import SystemPackage
import TargetRoot

public enum Inspection {
    /// Prints what a config would do to the disks and, where a root is given, to the system below it. Writes nothing.
    ///
    /// - Parameter isOffline: Nothing is fetched from another machine; where the config refers to one, that is an
    ///   error.
    /// - Returns: 0 nothing to do, 2 changes, 3 would destroy data, 1 error.
    public static func plan(config file: String, root: String?, asJSON: Bool, isOffline: Bool = false) -> Int32 {
        do {
            var settings = FetchSettings()
            settings.isOffline = isOffline
            let fetcher = ResourceFetcher(settings)
            let name = file == "-" ? "standard input" : file
            let config = try wholeConfig(try read(file), name: name, through: fetcher) { complain("\($0)") }
            let line = BootArguments(bytes: (try? Files.read("/proc/cmdline")) ?? []).commandLine
            let arguments = KernelArgumentChanges(config.kernelArguments, on: line)
            var access = DiskAccess.settled
            access.keys = VolumeKeys { try fetcher.write($0, to: $1) }
            let plan = try DiskStage.plan(config.storage, access: access)
            let files = try root.map { try preview(config, of: TargetRoot(FilePath($0)), fetcher) }
            if asJSON {
                var json = plan.json
                json["files"] = files?.json
                json["kernelArguments"] = arguments.json
                print(json.text(.pretty))
            } else {
                let warnings = arguments.warnings.map { PlanLine("warning: \($0)", .warns) }
                let disks = config.storage.namesDisks || files == nil ? plan.planLines : []
                let lines = warnings + (files?.planLines ?? []) + disks
                let isColoured = isatty(1) == 1 && variable("NO_COLOR") == nil
                for line in lines { print(isColoured ? line.coloured : line.text) }
            }
            if !plan.destroyed.isEmpty || files?.destroyed.isEmpty == false { return 3 }
            return plan.isEmpty && files?.changes.isEmpty != false ? 0 : 2
        } catch {
            let failure = error as? BootFailure ?? BootFailure(cause: error)
            if asJSON { print(failure.json.text(.pretty)) }
            complain("\(failure.cause)")
            failure.advice.forEach { complain("  \($0)") }
            return 1
        }
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

    /// Prints what devices or image files hold, one JSON object each.
    ///
    /// - Returns: Whether all could be read.
    public static func probe(_ files: [String]) -> Bool {
        forEach(files) { print(try DeviceDescription($0).json.text(.pretty), terminator: "") }
    }

    /// Prints the `/dev/disk` links that belong to devices, sorted, one a line.
    public static func links(_ devices: [String]) -> Bool {
        forEach(devices) { device in try describeLinks(for: FilePath(device)).forEach { print($0) } }
    }

    /// The libraries that this program was linked from, a line each; `nil` where that is not known.
    public static var librariesText: String? {
        let libraries = Build.libraries
        guard !libraries.isEmpty else { return nil }
        let width = libraries.map(\.name.count).max() ?? 0
        return libraries.map { library in
            let padding = String(repeating: " ", count: width - library.name.count)
            return "\(library.name)\(padding)  \(library.version)  (\(library.origin))"
        }.joined(separator: "\n")
    }

    /// The kernel arguments that are honoured, as a Markdown table.
    public static var argumentsTable: String { BootArguments.markdownTable }

    private static func read(_ file: String) throws -> [UInt8] {
        let path = FilePath(file)
        if file == "-" { return try readAll(0) }
        return try Files.read(path)
    }

    static func forEach(_ names: [String], _ body: (String) throws -> Void) -> Bool {
        var isFine = true
        for name in names {
            do {
                try body(name)
            } catch {
                complain("\(error)")
                ((error as? any Advising)?.advice ?? []).forEach { complain("  \($0)") }
                isFine = false
            }
        }
        return isFine
    }

    private static func complain(_ text: String) {
        try? Files.writeAll(Array((text + "\n").utf8), to: 2)
    }
}

extension BootFailure {
    /// What `plan --json` prints where there is no plan: the error, the steps under way, the advice, and each
    /// conflict of config and disks with its device and its place in the config.
    var json: JSONValue {
        func texts(_ some: [String]) -> JSONValue { .array(some.map { .string($0) }) }
        let conflicts = (cause as? DiskRefusal)?.conflicts ?? []
        return [
            "error": .string("\(cause)"), "steps": texts(steps), "advice": texts(advice),
            "conflicts": .array(
                conflicts.map {
                    [
                        "device": .string($0.device), "reason": .string("\($0)"), "place": .string("\($0.origin)"),
                        "advice": texts($0.advice),
                    ]
                }),
        ]
    }
}
