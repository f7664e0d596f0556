// Kernel modules: what depends on what, and which devices ask for what.
// Source: modules.dep(5), depmod(8), modprobe.d(5), and kmod's behaviour.

/// What depmod knows about the modules below `/lib/modules/VERSION`, as far as loading needs it.
///
/// Names are given and returned as the kernel writes them, with `_`; `-` is accepted for it.
/// Paths are relative to `/lib/modules/VERSION`: `kernel/fs/ext4/ext4.ko`.
public struct KernelModuleIndex: Sendable {
    /// Where each module's line stands in `dependencies`.
    private var lines: [String: Int] = [:]
    private let dependencies: [UInt8]
    private let aliases: ModuleAliases
    private var softDependencies: [String: SoftDependencies] = [:]
    private var builtin: Set<String> = []

    private struct SoftDependencies: Sendable {
        var before: [String] = []
        var after: [String] = []
    }

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

    /// The module's path, or `nil` where no such module is there (built in, or unknown).
    public func path(of name: String) -> String? {
        lines[moduleName(name.utf8)].map { path(at: $0) }
    }

    /// Whether the kernel itself contains the module.
    public func isBuiltin(_ name: String) -> Bool { builtin.contains(moduleName(name.utf8)) }

    /// What the module needs, directly or not, as `modules.dep` lists it: paths, soft dependencies left out.
    public func dependencies(of name: String) -> [String] {
        lines[moduleName(name.utf8)].map { dependencies(at: $0) } ?? []
    }

    /// The modules that a device asks for, or that a name as the kernel asks for it (`fs-xfs`) stands for.
    ///
    /// - Parameter modalias: What the device's `modalias` file says, or any alias.
    /// - Returns: Names in the order of `modules.alias`, each once; they may be missing or built in.
    public func modules(matching modalias: String) -> [String] { aliases.modules(matching: modalias) }

    /// The modules a name stands for: the module of that name, else those with that alias.
    public func resolve(_ name: String) -> [String] {
        let canonicalName = moduleName(name.utf8)
        return lines[canonicalName] != nil || builtin.contains(canonicalName)
            ? [canonicalName] : modules(matching: name)
    }

    /// The paths to load so that the module works, in that order: its `pre` soft dependencies, what it
    /// depends on, itself, its `post` soft dependencies; each of those treated alike.
    ///
    /// - Parameter name: A module or an alias. One that is unknown or built in gives nothing.
    public func loadOrder(of name: String) -> [String] { closure(of: [name]) }

    /// The paths of the modules and of all they need, each once, in an order in which they can be loaded.
    public func closure(of names: some Sequence<String>) -> [String] {
        var order = LoadOrder(index: self)
        for name in names { order.add(name) }
        return order.paths
    }

    /// The texts of an index of these modules alone, for an image that carries no others.
    ///
    /// - Parameter paths: Paths as ``closure(of:)`` gives them.
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
    /// A load order as it grows.
    private struct LoadOrder {
        let index: KernelModuleIndex
        var paths: [String] = []
        /// Modules done or under way: soft dependencies may form circles.
        var seen: Set<String> = []

        init(index: KernelModuleIndex) { self.index = index }

        mutating func add(_ name: String) {
            for module in index.resolve(name) where seen.insert(module).inserted {
                guard let line = index.lines[module] else { continue }
                let soft = index.softDependencies[module]
                for name in soft?.before ?? [] { add(name) }
                // modules.dep lists what is needed first last.
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

    /// `softdep MODULE pre: A B post: C`; what stands before the first of both words means nothing.
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
