// The shared libraries that programs need, and where the host has them.

import LinuxSystem
import SystemPackage

/// Follows programs to their loader and libraries.
struct SharedLibraries {
    /// The root of the system that the programs come from.
    var root: FilePath = "/"

    enum Failure: Error, CustomStringConvertible {
        case missing(String, neededBy: FilePath)
        case unreadable(FilePath, Errno)
        case malformed(FilePath, ELFFile.Failure)

        var description: String {
            switch self {
            case .missing(let name, let program): "\(program) needs \(name), which this system does not have"
            case .unreadable(let file, let reason): "cannot read \(file): \(reason)"
            case .malformed(let file, let reason): "\(file) is \(reason)"
            }
        }
    }

    /// The libraries that `programs` need, directly or not.
    ///
    /// - Parameter programs: The files of programs and libraries.
    /// - Returns: The place of each library below `/usr` of the image, and its file here.
    /// - Throws: ``Failure`` if a library is missing or cannot be read.
    func needed(by programs: [FilePath]) throws(Failure) -> [String: FilePath] {
        var found: [String: FilePath] = [:]
        var pending = programs
        while let file = pending.popLast() {
            guard let elf = try read(file) else { continue }
            if let interpreter = elf.interpreter {
                let source = root.appending(FilePath(interpreter).removingRoot().components)
                guard Files.exists(source) else { throw .missing(interpreter, neededBy: file) }
                found[SharedLibraries.placeBelowUsr(interpreter)] = source
            }
            for name in elf.needed {
                let place = "lib/\(elf.machine.multiarch)/\(name)"
                // The loader is a library too, but has its place already.
                if found[place] != nil
                    || found.keys.contains(where: { $0.hasPrefix("lib64/") && $0.hasSuffix("/\(name)") })
                {
                    continue
                }
                guard let source = find(name, for: elf, of: file) else { throw .missing(name, neededBy: file) }
                found[place] = source
                pending.append(source)
            }
        }
        return found
    }

    /// A library that a program loads while it runs, which no header shows.
    ///
    /// - Parameters:
    ///   - name: The name of the library.
    ///   - program: The program that loads it.
    /// - Returns: The library's place below `/usr` of the image, and its file here.
    /// - Throws: ``Failure`` if it is missing.
    func named(_ name: String, for program: FilePath) throws(Failure) -> (place: String, file: FilePath) {
        guard let elf = try read(program), let file = find(name, for: elf, of: program) else {
            throw .missing(name, neededBy: program)
        }
        return ("lib/\(elf.machine.multiarch)/\(name)", file)
    }

    /// Reads an ELF file; `nil` for other files, for example scripts.
    private func read(_ file: FilePath) throws(Failure) -> ELFFile? {
        let bytes: [UInt8]
        do { bytes = try Files.read(file) } catch { throw .unreadable(file, error.reason) }
        guard ELFFile.isELF(bytes) else { return nil }
        do { return try ELFFile(bytes) } catch { throw .malformed(file, error) }
    }

    private func find(_ name: String, for elf: ELFFile, of file: FilePath) -> FilePath? {
        let origin = file.removingLastComponent().string
        let own = elf.searchPath.map { $0.replacing("$ORIGIN", with: origin) }
        let multiarch = elf.machine.multiarch
        let system = ["/lib/\(multiarch)", "/usr/lib/\(multiarch)", "/lib64", "/usr/lib64", "/lib", "/usr/lib"]
        let folders = own.map { FilePath($0) } + system.map { root.appending(FilePath($0).removingRoot().components) }
        return folders.map { $0.appending(name) }.first { Files.exists($0) }
    }

    /// The path below `/usr`: `/lib64/ld-linux-x86-64.so.2` and `/usr/lib64/...` are one place if `/lib64` is a link.
    static func placeBelowUsr(_ path: String) -> String {
        let components = path.split(separator: "/")
        return components.drop { $0 == "usr" }.joined(separator: "/")
    }
}
