// Kernel modules: their dependencies, and which devices need which.
// Source: modules.dep(5), depmod(8), modprobe.d(5), and kmod's behaviour.

/// depmod's information about the modules below `/lib/modules/VERSION`, as far as loading needs it.
///
/// Names are given and returned as the kernel writes them, with `_`; `-` is accepted instead.
/// Paths are relative to `/lib/modules/VERSION`: `kernel/fs/ext4/ext4.ko`.
public struct KernelModuleIndex: Sendable {
    /// The position of each module's line in `dependencies`.
    private var lines: [String: Int] = [:]
    private let dependencies: [UInt8]
    private let aliases: ModuleAliases
    private var softDependencies: [String: SoftDependencies] = [:]
    private var builtin: Set<String> = []

    private struct SoftDependencies: Sendable {
        var before: [String] = []
        var after: [String] = []
    }

    /// Reads the files that depmod writes.
    ///
    /// - Parameters:
    ///   - dependencies: The text of `modules.dep`.
    ///   - aliases: The text of `modules.alias`.
    ///   - softDependencies: The text of `modules.softdep`.
    ///   - builtin: The text of `modules.builtin`.
    public init(dependencies: [UInt8], aliases: [UInt8], softDependencies: [UInt8], builtin: [UInt8]) {
        self.dependencies = dependencies
        self.aliases = ModuleAliases(aliases)
        lines.reserveCapacity(dependencies.count / 100)
        dependencies.withUnsafeBufferPointer { bytes in
            forEachLine(of: bytes) { start, end in
                guard let name = KernelModuleIndex.name(bytes, start, end) else { return }
                lines[name] = start
            }
        }
        builtin.withUnsafeBufferPointer { bytes in
            forEachLine(of: bytes) { start, end in
                if let name = KernelModuleIndex.name(bytes, start, end) { self.builtin.insert(name) }
            }
        }
        for line in softDependencies.split(separator: newline) { readSoftDependencies(line) }
    }

    /// The module's name: `kernel/drivers/block/virtio-blk.ko.xz` is `virtio_blk`.
    public static func name(ofPath path: String) -> String {
        let file = path.utf8.split(separator: UInt8(ascii: "/")).last ?? path.utf8[...]
        return moduleName(file.prefix { $0 != UInt8(ascii: ".") })
    }

    /// Every module's path, in the order of `modules.dep`.
    public var paths: [String] { lines.values.sorted().map { path(at: $0) } }

    /// The module's path; `nil` if there is no file for it (built in, or unknown).
    public func path(of name: String) -> String? {
        lines[moduleName(name.utf8)].map { path(at: $0) }
    }

    /// Whether the module is built into the kernel.
    public func isBuiltin(_ name: String) -> Bool { builtin.contains(moduleName(name.utf8)) }

    /// The paths of the direct and indirect dependencies in `modules.dep`, without soft dependencies.
    public func dependencies(of name: String) -> [String] {
        lines[moduleName(name.utf8)].map { dependencies(at: $0) } ?? []
    }

    /// The modules that a device needs, or that an alias such as `fs-xfs` stands for.
    ///
    /// - Parameter modalias: The content of the device's `modalias` file, or any alias.
    /// - Returns: Names in the order of `modules.alias`, each once; they may be missing or built in.
    public func modules(matching modalias: String) -> [String] { aliases.modules(matching: modalias) }

    /// The modules that a name stands for: the module of that name, or else those with that alias.
    public func resolve(_ name: String) -> [String] {
        let canonicalName = moduleName(name.utf8)
        return lines[canonicalName] != nil || builtin.contains(canonicalName)
            ? [canonicalName] : modules(matching: name)
    }

    /// The paths to load for a module, in order.
    ///
    /// These are its `pre` soft dependencies, its dependencies, itself, and its `post` soft dependencies, each with its
    /// own.
    ///
    /// An alias stands for its modules; an unknown or built-in module gives nothing.
    public func loadOrder(of name: String) -> [String] { closure(of: [name]) }

    /// The paths of the modules and all their dependencies, each once, in an order in which they can be loaded.
    public func closure(of names: some Sequence<String>) -> [String] {
        var order = LoadOrder(index: self)
        for name in names { order.add(name) }
        return order.paths
    }

    /// The texts of an index of these modules alone, for an image that has no others.
    ///
    /// - Parameter paths: Paths as ``closure(of:)`` returns them.
    /// - Returns: The texts of `modules.dep`, `modules.alias` and `modules.softdep`.
    public func subset(of paths: some Sequence<String>) -> (
        dependencies: [UInt8], aliases: [UInt8], softDependencies: [UInt8]
    ) {
        let names = Set(paths.map(KernelModuleIndex.name(ofPath:)))
        let starts = names.compactMap { lines[$0] }.sorted()
        var kept: [UInt8] = []
        for start in starts {
            kept += dependencies[start...].prefix { $0 != newline }
            kept.append(newline)
        }
        var soft = ""
        for (name, wanted) in softDependencies.sorted(by: { $0.key < $1.key }) where names.contains(name) {
            if !wanted.before.isEmpty { soft += "softdep \(name) pre: \(wanted.before.joined(separator: " "))\n" }
            if !wanted.after.isEmpty { soft += "softdep \(name) post: \(wanted.after.joined(separator: " "))\n" }
        }
        return (kept, aliases.text { names.contains($0) }, Array(soft.utf8))
    }
}

// MARK: - Order

extension KernelModuleIndex {
    /// A load order while it is built.
    private struct LoadOrder {
        let index: KernelModuleIndex
        var paths: [String] = []
        /// Modules that are done or being added, because soft dependencies may form circles.
        var seen: Set<String> = []

        init(index: KernelModuleIndex) { self.index = index }

        mutating func add(_ name: String) {
            for module in index.resolve(name) where seen.insert(module).inserted {
                guard let line = index.lines[module] else { continue }
                let soft = index.softDependencies[module]
                for name in soft?.before ?? [] { add(name) }
                // modules.dep lists a module before what it needs.
                for path in index.dependencies(at: line).reversed() { add(KernelModuleIndex.name(ofPath: path)) }
                paths.append(index.path(at: line))
                for name in soft?.after ?? [] { add(name) }
            }
        }
    }

    fileprivate func path(at start: Int) -> String {
        String(decoding: dependencies[start...].prefix { $0 != UInt8(ascii: ":") }, as: UTF8.self)
    }

    fileprivate func dependencies(at start: Int) -> [String] {
        let line = dependencies[start...].prefix { $0 != newline }
        return line.drop { $0 != UInt8(ascii: ":") }.dropFirst().split(separator: UInt8(ascii: " ")).map {
            String(decoding: $0, as: UTF8.self)
        }
    }

    /// Reads `softdep MODULE pre: A B post: C`; words before the first of the two keywords have no meaning.
    private mutating func readSoftDependencies(_ line: ArraySlice<UInt8>) {
        let words = line.split(separator: UInt8(ascii: " ")).map { String(decoding: $0, as: UTF8.self) }
        guard words.count > 2, words[0] == "softdep" else { return }
        var soft = softDependencies[moduleName(words[1].utf8)] ?? SoftDependencies()
        var place: WritableKeyPath<SoftDependencies, [String]>?
        for word in words.dropFirst(2) {
            switch word {
            case "pre:": place = \.before
            case "post:": place = \.after
            default: if let place { soft[keyPath: place].append(word) }
            }
        }
        softDependencies[moduleName(words[1].utf8)] = soft
    }

    /// The name of the module whose path starts the line.
    private static func name(_ bytes: UnsafeBufferPointer<UInt8>, _ start: Int, _ end: Int) -> String? {
        var file = start
        var stop = -1
        var index = start
        while index < end, bytes[index] != UInt8(ascii: ":") {
            switch bytes[index] {
            case UInt8(ascii: "/"):
                file = index + 1
                stop = -1
            case UInt8(ascii: ".") where stop < 0: stop = index
            default: break
            }
            index += 1
        }
        guard stop > file else { return nil }
        return moduleName(bytes[file..<stop])
    }
}
