// URLs for a kernel command line that is made now and read by every boot.

import BootArguments
import Encoding
import Reporting

/// A URL that the boot would refuse, or not take as one word of its command line.
public struct CommandLineURLFault: Error, Equatable, CustomStringConvertible, Advising {
    /// What was given, without its secrets.
    public var url: RedactedURL
    /// What the boot would say; `nil` where it would take the URL for several words.
    public var reason: String?

    /// What is wrong, for a message.
    public var description: String {
        "\(url): \(reason ?? "a blank or a quote would end it on the kernel command line")"
    }

    /// What the operator can do.
    public var advice: [String] { ["Check the URL; a blank in it is written as %20."] }
}

/// `ignition.config.url=URL`.
func configURLWord(_ url: String) throws(CommandLineURLFault) -> String {
    try word("ignition.config.url", url) { $0.configURL }
}

/// `coreos.live.rootfs_url=URL`.
func rootImageURLWord(_ url: String) throws(CommandLineURLFault) -> String {
    try word("coreos.live.rootfs_url", url) { $0.rootfsURLs.first }
}

private func word(
    _ key: String, _ url: String, read: (BootArguments) -> MachineURL?
) throws(CommandLineURLFault) -> String {
    let word = "\(key)=\(url)"
    let boot = BootArguments(word)
    let found = read(boot)
    // A quote goes on to the next one, in whatever argument that is.
    guard let found, found.asWritten.text == url, found.fault == nil, !url.unicodeScalars.contains("\"") else {
        throw CommandLineURLFault(
            url: RedactedURL(url), reason: boot.problems.first?.reason ?? found?.fault.map { "\($0)" })
    }
    return word
}
