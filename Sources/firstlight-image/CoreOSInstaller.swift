// The program under the name coreos-installer.

import ArgumentParser
import BootMedia
import MediaEditing
import Reporting

struct CoreOSInstaller: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "coreos-installer",
        abstract: "Customize live images of Fedora CoreOS, as coreos-installer does.",
        discussion: "This is firstlight-image under another name. It does not install to a disk.",
        version: "coreos-installer 0.26.0 (firstlight-image \(firstlightVersion))",
        subcommands: [
            InstallRefusal.self, DownloadRefusal.self, ListStreamRefusal.self, ISOGroup.self, PXEGroup.self,
            PackGroup.self, DevGroup.self,
        ])

    func run() throws {
        say(Program.help(of: CoreOSInstaller.self))
        throw ExitCode(2)
    }
}

/// A command of coreos-installer that belongs to installing to a disk.
protocol InstallingRefusal: MediaCommand {
    var words: [String] { get }
}

extension InstallingRefusal {
    func work(_ streams: Streams) throws {
        throw MediaFault(
            "`\(Self._commandName)` belongs to installing to a disk, which this program does not do.\n"
                + "It is firstlight-image under the name coreos-installer; coreos-installer itself can do it.")
    }
}

struct InstallRefusal: InstallingRefusal {
    static let configuration = CommandConfiguration(
        commandName: "install", abstract: "Install to a disk: not done by this program.")
    @Argument(parsing: .allUnrecognized, help: .hidden) var words: [String] = []
}

struct DownloadRefusal: InstallingRefusal {
    static let configuration = CommandConfiguration(
        commandName: "download", abstract: "Download an image: not done by this program.")
    @Argument(parsing: .allUnrecognized, help: .hidden) var words: [String] = []
}

struct ListStreamRefusal: InstallingRefusal {
    static let configuration = CommandConfiguration(
        commandName: "list-stream", abstract: "List the images of a stream: not done by this program.")
    @Argument(parsing: .allUnrecognized, help: .hidden) var words: [String] = []
}

struct PackOsmetRefusal: InstallingRefusal {
    static let configuration = CommandConfiguration(
        commandName: "osmet", abstract: "Pack an installed disk: not done by this program.")
    @Argument(parsing: .allUnrecognized, help: .hidden) var words: [String] = []
}

struct ShowFiemapRefusal: InstallingRefusal {
    static let configuration = CommandConfiguration(
        commandName: "fiemap", abstract: "Show a file's extents: not done by this program.")
    @Argument(parsing: .allUnrecognized, help: .hidden) var words: [String] = []
}

struct ExtractOsmetRefusal: InstallingRefusal {
    static let configuration = CommandConfiguration(
        commandName: "osmet", abstract: "Unpack an installed disk: not done by this program.")
    @Argument(parsing: .allUnrecognized, help: .hidden) var words: [String] = []
}
