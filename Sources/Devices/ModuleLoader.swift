// Loading kernel modules: in order, with parameters, decompressed if the kernel cannot do it.

import BootArguments
import Glibc
import KernelModules
import LinuxSystem
import Logging
import Synchronization
import SystemPackage

/// Loads modules of the running kernel from `/lib/modules/VERSION`.
///
/// A missing module is not a failure, because an image has only some of them. Failures are collected and logged; code
/// that needs a device reports what its missing driver means. Threads load side by side: who brings up the network does
/// not wait for the drivers of disks.
public final class ModuleLoader: Sendable {
    /// The result of all requests so far.
    public struct Record: Equatable, Sendable {
        /// The names in the order of loading, dependencies included.
        public var loaded: [String] = []
        /// The modules that could not be loaded, with the kernel's reason.
        public var failed: [String: Errno] = [:]
    }

    private struct State {
        var index: KernelModuleIndex?
        /// Modules that need no loading: they are loaded, or were tried in vain, or are being loaded.
        var tried: Set<String> = []
        /// Those of them that some thread is loading right now.
        var loading: Set<String> = []
        /// The answers for modaliases that were requested already.
        var asked: [String: Bool] = [:]
        var record = Record()
        /// Whether the kernel decompresses modules; `nil` before that was tried.
        var kernelDecompresses: Bool?
    }

    private let folder: FilePath
    private let blocked: Set<String>
    private let parameters: [String: [String]]
    private let log: Logger
    private let insert: @Sendable (_ file: FilePath, _ parameters: String, _ compressed: Bool) throws(Errno) -> Void
    private let state = Monitor(State())

    /// Creates a loader that has read nothing yet.
    ///
    /// `insert` gives a module's file to the kernel.
    public init(
        arguments: BootArguments, folder: FilePath = FilePath("/lib/modules").appending(Machine.kernelVersion),
        logger: Logger,
        insert: @escaping @Sendable (FilePath, String, Bool) throws(Errno) -> Void = {
            (file, parameters, compressed) throws(Errno) in
            try Machine.loadModule(file, parameters: parameters, compressed: compressed)
        }
    ) {
        self.insert = insert
        self.folder = folder
        blocked = arguments.blockedModules
        parameters = arguments.moduleParameters
        log = logger
    }

    /// The result of all requests so far.
    public var record: Record { state.change { $0.record } }

    /// Loads a module, or those of an alias, with their dependencies.
    ///
    /// Modules that the command line blocks are loaded only if another one needs them.
    ///
    /// - Parameter name: A module or an alias.
    /// - Returns: Whether the module is loaded or built in.
    @discardableResult
    public func load(_ name: String) -> Bool {
        guard let index = index() else { return false }
        let modules = index.resolve(name)
        if modules.isEmpty { log.debug("no module \(name)") }
        return modules.map { load($0, index) }.contains(true)
    }

    /// Loads the drivers for a device.
    ///
    /// - Parameter modalias: The device's `modalias`.
    /// - Returns: Whether at least one is loaded or built in.
    @discardableResult
    public func loadDrivers(for modalias: String) -> Bool {
        if let known = state.change({ $0.asked[modalias] }) { return known }
        guard let index = index() else { return false }
        let found = index.modules(matching: modalias).map { load($0, index) }.contains(true)
        state.change { $0.asked[modalias] = found }
        return found
    }

    private func index() -> KernelModuleIndex? {
        state.change { state in
            prepare(&state)
            return state.index
        }
    }

    private func prepare(_ state: inout State) {
        guard state.index == nil else { return }
        func text(_ name: String) -> [UInt8] { (try? Files.read(folder.appending(name))) ?? [] }
        let dependencies = text("modules.dep")
        if dependencies.isEmpty { log.warning("there are no modules in \(folder)") }
        state.index = KernelModuleIndex(
            dependencies: dependencies, aliases: text("modules.alias"),
            softDependencies: text("modules.softdep"), builtin: text("modules.builtin"))
        log.debug("modules of \(folder) indexed")
        // Modules that were loaded by something else are not read again.
        for line in (Files.line("/proc/modules") ?? "").split(separator: "\n") {
            if let name = line.split(separator: " ").first { state.tried.insert(String(name)) }
        }
    }

    /// Loads a module and its dependencies; returns whether it is loaded or built in.
    private func load(_ module: String, _ index: KernelModuleIndex) -> Bool {
        if index.isBuiltin(module) { return true }
        if blocked.contains(module) {
            log.info("module \(module) is blocked by the command line")
            return false
        }
        guard index.path(of: module) != nil else {
            log.debug("module \(module) is not here")
            return false
        }
        for path in index.loadOrder(of: module) {
            let name = KernelModuleIndex.name(ofPath: path)
            // One that another thread is loading is there when that has ended.
            let isOurs = state.wait { state -> Bool? in
                if state.loading.contains(name) { return nil }
                guard state.tried.insert(name).inserted else { return false }
                state.loading.insert(name)
                return true
            }
            guard isOurs else { continue }
            var failure: Errno?
            do throws(Errno) {
                try insert(path, parameters: (parameters[name] ?? []).joined(separator: " "))
                log.debug("module \(name) loaded")
            } catch {
                // The module found no device, or needs another processor.
                let hasNothingToDo = error == .operationNotSupportedByDevice
                log.log(level: hasNothingToDo ? .debug : .warning, "module \(name): \(error)")
                failure = error
            }
            state.change { state in
                state.loading.remove(name)
                state.record.failed[name] = failure
                if failure == nil { state.record.loaded.append(name) }
            }
        }
        return state.change { $0.record.failed[module] == nil }
    }

    private func insert(_ path: String, parameters: String) throws(Errno) {
        let file = folder.appending(path)
        guard let decompressors = ModuleLoader.decompressors(for: file) else {
            return try insert(file, parameters, false)
        }
        let known = state.change { $0.kernelDecompresses }
        if known != false {
            do throws(Errno) {
                try insert(file, parameters, true)
                state.change { $0.kernelDecompresses = true }
                return
            } catch {
                guard error == .notSupported || error == .invalidArgument else { throw error }
                if known == true { throw error }
                state.change { $0.kernelDecompresses = false }
            }
        }
        for command in decompressors {
            guard let output = try? command.run() else { continue }
            return try Machine.loadModule(image: output.standardOutput, parameters: parameters)
        }
        log.warning("nothing here decompresses \(path)")
        throw .notSupported
    }

    /// Programs that write the plain module to standard output; `nil` if the file is plain already.
    private static func decompressors(for file: FilePath) -> [Command]? {
        let path = file.string
        return switch file.extension {
        case "gz": [Command("busybox", ["zcat", path]), Command("gzip", ["-dc", path])]
        case "xz": [Command("busybox", ["xzcat", path]), Command("xz", ["-dc", path])]
        case "zst": [Command("zstd", ["-dc", path])]
        default: nil
        }
    }
}

/// The kernel's own requests: it runs `/sbin/modprobe -q -- NAME` if a filesystem, cipher or device-mapper target is
/// missing.
public enum ModuleRequest {
    /// Acts as modprobe(8).
    ///
    /// - Parameters:
    ///   - words: The arguments. Options for more or fewer messages, or for what is done anyway, change nothing.
    ///   - logger: Receives what the loader reports.
    /// - Returns: The exit status: 0 if all modules are loaded, 1 if one is not, 2 for an unknown option.
    public static func main(_ words: [String], logger: Logger) -> Int32 {
        if let unknown = words.prefix(while: { $0 != "--" }).first(where: { $0.hasPrefix("-") && !isKnown($0) }) {
            try? Files.writeAll(Array("modprobe: \(unknown): no such option here\n".utf8), to: 2)
            return 2
        }
        let arguments = BootArguments(bytes: (try? Files.read("/proc/cmdline")) ?? [])
        let loader = ModuleLoader(arguments: arguments, logger: logger)
        let names = words.filter { !$0.hasPrefix("-") }
        return names.map { loader.load($0) }.contains(false) ? 1 : 0
    }

    /// Whether an option is known; several letters may be joined: `-qab`.
    static func isKnown(_ option: String) -> Bool {
        let long: Set = ["--quiet", "--verbose", "--syslog", "--all", "--use-blacklist"]
        return long.contains(option) || option.count > 1 && option.dropFirst().allSatisfy("qvsab".contains)
    }
}
