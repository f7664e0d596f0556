import Glibc
import InitramfsImage
import LinuxSystem
import SystemPackage

extension TemporaryFolder {
    /// Writes a file, and the folders above it.
    @discardableResult
    func file(_ name: String, _ bytes: [UInt8]) throws -> FilePath {
        let file = path.appending(name)
        try Files.makeFolder(file.removingLastComponent())
        try Files.write(bytes, to: file)
        return file
    }

    @discardableResult
    func file(_ name: String, _ text: String) throws -> FilePath { try file(name, Array(text.utf8)) }

    func link(_ name: String, to target: String) throws { try Files.makeLink(path.appending(name), to: target) }
}
