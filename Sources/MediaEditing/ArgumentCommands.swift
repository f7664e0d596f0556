// iso kargs modify, reset, show.

import BootMedia
import Reporting

/// `iso kargs modify`: edits the present kernel arguments of an ISO.
public struct ModifyArguments: Sendable {
    /// The ISO's path.
    public var image: String
    /// What is to be done to them.
    public var edit: KernelArgumentEdit
    /// Where the changed ISO goes.
    public var output = ImageOutput.inPlace

    /// Creates the command for an ISO and an edit of its arguments.
    public init(image: String, edit: KernelArgumentEdit) {
        self.image = image
        self.edit = edit
    }

    /// Carries it out; what it throws is told by its steps and its cause.
    public func run(_ streams: Streams) throws {
        try output.change(image, streams) { iso in
            try iso.setArguments(try edit.applied(to: try iso.arguments.arguments))
        }
    }
}

/// `iso kargs reset`: gives an ISO the kernel arguments that it came with.
public struct ResetArguments: Sendable {
    /// The ISO's path.
    public var image: String
    /// Where the changed ISO goes.
    public var output = ImageOutput.inPlace

    /// Creates the command for an ISO.
    public init(image: String) { self.image = image }

    /// Carries it out; what it throws is told by its steps and its cause.
    public func run(_ streams: Streams) throws {
        try output.change(image, streams) { iso in try iso.setArguments(try iso.arguments.defaults) }
    }
}

/// `iso kargs show`: prints the kernel arguments of an ISO in one line.
public struct ShowArguments: Sendable {
    /// The ISO's path.
    public var image: String
    /// Those that it came with.
    public var showsDefaults = false

    /// Creates the command for an ISO.
    public init(image: String) { self.image = image }

    /// Carries it out; what it throws is told by its steps and its cause.
    public func run(_ streams: Streams) throws {
        let arguments = try LiveISO(reading: try MediaFile(image).source).arguments
        try streams.print(showsDefaults ? arguments.defaults : arguments.arguments)
    }
}
