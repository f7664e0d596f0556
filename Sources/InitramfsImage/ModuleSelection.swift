// Reading `--modules`, and choosing from the modules of a kernel.

import KernelModules
import Reporting

/// A choice of kernel modules: `generic`, `virtio`, `all`, `virtio,e1000e,@drivers/nvme,-hid_apple`.
///
/// Terms are sets (`generic`, `virtio`, and `all` that there are), modules by name or alias, `@FOLDER` for all modules below a folder of the
/// kernel's tree, and modules or folders with `-` to leave them out. The base set is always chosen, and so is
/// everything that the chosen modules depend on.
public struct ModuleSelection: Equatable, Sendable {
    /// The text that was parsed.
    public let text: String
    private var included: [Term] = []
    private var excluded: [Term] = []

    private struct Term: Equatable {
        enum What: Equatable {
            case all
            case name(String)
            case folder(String)

            var text: String {
                switch self {
                case .all: "all"
                case .name(let name): name
                case .folder(let folder): "@\(folder)"
                }
            }
        }

        var what: What
        /// Where it was asked for: `generic`, a word of the list, "every image".
        var origin: String
        /// Whether somebody asked for exactly this; what a set names may be missing from a kernel.
        var isRequired: Bool
    }

    /// Why a selection cannot be used.
    public enum Failure: Error, Equatable, CustomStringConvertible, Advising {
        case empty
        case unknown(String, nearest: String?)
        case emptyFolder(String)

        /// What went wrong, for a message.
        public var description: String {
            switch self {
            case .empty: "the list of modules is empty"
            case .unknown(let name, _): "this kernel has no module \"\(name)\""
            case .emptyFolder(let folder): "this kernel has no modules in \"\(folder)\""
            }
        }

        /// What the operator can do.
        public var advice: [String] {
            switch self {
            case .empty: ["Say generic, virtio, all, or a list such as virtio,e1000e,@drivers/nvme."]
            case .unknown(_, let nearest?): ["Did you mean \"\(nearest)\"?"]
            case .unknown: []
            case .emptyFolder: ["A folder is written as below /lib/modules/VERSION/kernel: @drivers/net/ethernet/intel"]
            }
        }
    }

    /// Reads the value of `--modules`.
    public init(parsing text: String) throws(Failure) {
        self.text = text
        let words = text.split(separator: ",").map(String.init)
        guard !words.isEmpty else { throw .empty }
        add(ModuleSets.base, isRequired: false, origin: Self.everyImage)
        for word in words {
            switch word {
            case "generic": add(ModuleSets.generic, isRequired: false, origin: word)
            case "virtio": add(ModuleSets.virtio, isRequired: false, origin: word)
            case "all": included.append(Term(what: .all, origin: word, isRequired: true))
            default: add([word], isRequired: true, origin: word)
            }
        }
    }

    private mutating func add(_ words: [String], isRequired: Bool, origin: String) {
        for word in words {
            let isExcluded = word.hasPrefix("-")
            let body = isExcluded ? word.dropFirst() : word[...]
            let what: Term.What = body.hasPrefix("@") ? .folder(String(body.dropFirst())) : .name(String(body))
            let term = Term(what: what, origin: origin, isRequired: isRequired)
            if isExcluded { excluded.append(term) } else { included.append(term) }
        }
    }

    /// The paths of the chosen modules and their dependencies, in an order in which they can be loaded.
    public func paths(in index: KernelModuleIndex) throws(Failure) -> [String] {
        let all = index.paths
        var unwanted: Set<String> = []
        for term in excluded { unwanted.formUnion(try names(of: term, in: index, all: all)) }
        var wanted: [String] = []
        for term in included { wanted += try names(of: term, in: index, all: all) }
        return index.closure(of: wanted.filter { !unwanted.contains($0) })
    }

    private static let everyImage = "every image"

    /// Why a module is in an image.
    public struct Reason: Equatable, Sendable {
        /// `kernel/drivers/net/virtio_net.ko`.
        public var path: String
        /// `generic: @drivers/net/ethernet`, `needed by dm_crypt`.
        public var text: String
    }

    /// Why each of the chosen modules is chosen, in the order of ``paths(in:)``.
    public func reasons(in index: KernelModuleIndex) throws(Failure) -> [Reason] {
        let chosen = try paths(in: index)
        let all = index.paths
        var unwanted: Set<String> = []
        for term in excluded { unwanted.formUnion(try names(of: term, in: index, all: all)) }
        var direct: [String: String] = [:]
        for term in included {
            for name in try names(of: term, in: index, all: all) where !unwanted.contains(name) {
                let text = term.what.text == term.origin ? "asked for" : "\(term.origin): \(term.what.text)"
                if direct[name] == nil { direct[name] = text }
            }
        }
        // For a module that nobody asked for: the first module that needs it.
        var needed: [String: String] = [:]
        for name in chosen.map(KernelModuleIndex.name(ofPath:)) where direct[name] != nil {
            for path in index.closure(of: [name]) {
                let other = KernelModuleIndex.name(ofPath: path)
                if direct[other] == nil, needed[other] == nil { needed[other] = "needed by \(name)" }
            }
        }
        return chosen.map { path in
            let name = KernelModuleIndex.name(ofPath: path)
            return Reason(path: path, text: direct[name] ?? needed[name] ?? "needed by others")
        }
    }

    private func names(of term: Term, in index: KernelModuleIndex, all: [String]) throws(Failure) -> [String] {
        switch term.what {
        case .all: return all.map(KernelModuleIndex.name(ofPath:))
        case .folder(let folder):
            let found = all.filter { $0.hasPrefix("kernel/\(folder)/") }
            guard !found.isEmpty || !term.isRequired else { throw .emptyFolder(folder) }
            return found.map(KernelModuleIndex.name(ofPath:))
        case .name(let name):
            let found = index.resolve(name)
            guard !found.isEmpty || !term.isRequired else {
                throw .unknown(name, nearest: nearest(to: name, in: all.map(KernelModuleIndex.name(ofPath:))))
            }
            return found
        }
    }
}
