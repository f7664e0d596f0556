// A file that is written aside and takes its place when it is whole.

import BootMedia
import CLinux
import Glibc
import Reporting
import SystemPackage

/// A file without its name yet, gone with the value unless it was given one.
final class NewFile {
    let file: MediaFile
    /// The name that it has meanwhile; `nil` where it has none, so that nothing stays even of a program that is killed.
    private var temporaryName: String?

    /// Makes the file in a folder, where it will be; empty is the working directory.
    ///
    /// Throws where it cannot be made.
    init(in folder: String) throws {
        let folder = folder.isEmpty ? "." : folder
        if let nameless = Self.nameless(in: folder) {
            file = nameless
            return
        }
        file = try step("creating temporary file") {
            var template = Array("\(folder)/.coreos-installer-temp-XXXXXX".utf8CString)
            let descriptor = firstlight_make_temporary(&template)
            let path = template.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } } ?? ""
            guard descriptor >= 0 else {
                throw MediaFault("\(SystemFault(Errno(rawValue: -descriptor))) at path \"\(path)\"")
            }
            return MediaFile(owning: descriptor, path: path)
        }
        temporaryName = file.path
    }

    deinit { if let temporaryName { unlink(temporaryName) } }

    /// `nil` where the filesystem can make no file without a name, or it could not be given one later.
    private static func nameless(in folder: String) -> MediaFile? {
        let descriptor = open(folder, O_RDWR | Int32(FIRSTLIGHT_O_TMPFILE) | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return nil }
        let file = MediaFile(owning: descriptor, path: "\(folder)/.coreos-installer-temp")
        return access(link(to: file), F_OK) == 0 ? file : nil
    }

    /// A path of what is open, whatever its name.
    private static func link(to file: MediaFile) -> String { "/proc/self/fd/\(file.descriptor)" }

    /// Where a file of that path lies.
    static func folder(of path: String) throws -> String {
        guard !path.isEmpty, path != "/" else { throw MediaFault("no parent directory of \(path)") }
        return FilePath(path).removingLastComponent().string
    }

    /// Gives the file its name and its mode; whatever has that name already stays, and is an error.
    ///
    /// The mode is 0600 where none is given. Throws the reason where the file does not get its name.
    func keep(as path: String, mode: mode_t = 0o600) throws {
        fchmod(file.descriptor, mode)
        try file.sync()
        guard let name = temporaryName else {
            guard linkat(AT_FDCWD, Self.link(to: file), AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0 else {
                throw SystemFault.current
            }
            return Self.syncFolder(of: path)
        }
        let result = firstlight_rename_new(name, path)
        guard result != 0 else {
            temporaryName = nil
            return Self.syncFolder(of: path)
        }
        let fault = SystemFault(Errno(rawValue: -result))
        // Some filesystems cannot rename that way: take the name first, then put the file there.
        guard [.invalidArgument, .noFunction, .notSupported].contains(fault.reason) else { throw fault }
        let place = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard place >= 0 else { throw SystemFault.current }
        close(place)
        guard rename(name, path) == 0 else {
            let fault = SystemFault.current
            unlink(path)
            throw fault
        }
        temporaryName = nil
        Self.syncFolder(of: path)
    }

    /// This makes the name outlive a power cut; a folder that cannot be synced is not a failure.
    static func syncFolder(of path: String) {
        let folder = FilePath(path).removingLastComponent().string
        let descriptor = open(folder.isEmpty ? "." : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }
}

/// The permissions that new files of this process do not get.
func usualMask() -> mode_t {
    let mask = umask(0)
    umask(mask)
    return mask
}
