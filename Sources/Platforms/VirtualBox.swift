// VirtualBox: the config is a property of the guest, which a service of the host keeps.

import Glibc
import Reporting
import SystemPackage

private let configProperty = "/Ignition/Config"

/// Calls the driver with a request, which is then replaced by the answer.
typealias GuestDriver = (_ number: UInt, _ request: UnsafeMutableRawBufferPointer) throws(Errno) -> Void

extension PlatformAccess {
    func virtualBoxConfig() throws -> [UInt8]? {
        try withGuestProperties { properties throws(GuestProperties.Fault) in
            let encoding = try properties.value(of: "\(configProperty)/Encoding") ?? []
            guard encoding.isEmpty else { throw .encoded(String(decoding: encoding.prefix(40), as: UTF8.self)) }
            return try properties.value(of: configProperty)
        }
    }

    func removeVirtualBoxConfig() throws {
        try withGuestProperties { properties throws(GuestProperties.Fault) in
            // A missing property is not a failure.
            if try properties.value(of: configProperty) != nil { try properties.remove(configProperty) }
        }
    }

    private func withGuestProperties<Result>(
        _ body: (GuestProperties) throws(GuestProperties.Fault) -> Result
    ) throws -> Result {
        if let guestDriver { return try body(GuestProperties(driver: guestDriver)) }
        loadModule("vboxguest")
        let descriptor = open("/dev/vboxguest", O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { throw GuestProperties.Fault.noDriver(Errno(rawValue: errno)) }
        defer { close(descriptor) }
        return try body(
            GuestProperties { (number, request) throws(Errno) in
                guard let memory = request.baseAddress, ioctl(descriptor, number, memory) == 0 else {
                    throw Errno(rawValue: errno)
                }
            })
    }
}

/// The properties of this guest.
///
/// - SeeAlso: Linux, `include/uapi/linux/vboxguest.h` and `vbox_vmmdev_types.h`.
struct GuestProperties {
    enum Fault: Error, Equatable {
        case noDriver(Errno)
        /// The host refused; the code is VirtualBox's own.
        case refused(String, code: Int32)
        case encoded(String)
    }

    private enum Service { static let (get, remove): (UInt32, UInt32) = (1, 4) }
    private static let (notFound, tooLong): (Int32, Int32) = (-78, -41)
    private static let headerLength = 24
    /// The bytes that a value may have; the host's own limit is far below.
    private static let longest = 1 << 24

    private let driver: GuestDriver

    init(driver: @escaping GuestDriver) { self.driver = driver }

    /// A property's value; `nil` if there is no property of that name.
    func value(of name: String) throws(Fault) -> [UInt8]? {
        let client = try connect()
        defer { disconnect(client) }
        var room = 4096
        while true {
            let name = Parameter.memory(Array(name.utf8) + [0])
            let buffer = Parameter.memory([UInt8](repeating: 0, count: room))
            let (code, answers) = try call(client, Service.get, [name, buffer, .wide(0), .narrow(0)])
            if code == Self.notFound { return nil }
            if code == Self.tooLong, case .narrow(let needed) = answers[3], Int(needed) > room, needed <= Self.longest {
                room = Int(needed)
                continue
            }
            guard code >= 0, case .memory(let bytes) = answers[1] else {
                throw .refused("a property of the guest", code: code)
            }
            // The flags follow after the NUL.
            return Array(bytes.prefix { $0 != 0 })
        }
    }

    func remove(_ name: String) throws(Fault) {
        let client = try connect()
        defer { disconnect(client) }
        let (code, _) = try call(client, Service.remove, [.memory(Array(name.utf8) + [0])])
        guard code >= 0 else { throw .refused("the removal of a property", code: code) }
    }

    // MARK: Requests

    /// A value that goes to the host's service and comes back.
    private enum Parameter {
        case narrow(UInt32)
        case wide(UInt64)
        case memory([UInt8])
    }

    private func connect() throws(Fault) -> UInt32 {
        let (existing, name): (UInt32, String) = (2, "VBoxGuestPropSvc")
        var request = Request(size: Self.headerLength + 132, answer: Self.headerLength + 4)
        request.put(existing, at: Self.headerLength)
        request.bytes.replaceSubrange(Self.headerLength + 4..<Self.headerLength + 4 + name.utf8.count, with: name.utf8)
        try perform(&request, 4, "its service")
        guard request.code >= 0 else { throw .refused("its service", code: request.code) }
        return request.number(at: Self.headerLength)
    }

    private func disconnect(_ client: UInt32) {
        var request = Request(size: Self.headerLength + 4, answer: Self.headerLength)
        request.put(client, at: Self.headerLength)
        try? perform(&request, 5, "")
    }

    private func call(
        _ client: UInt32, _ function: UInt32, _ parameters: [Parameter]
    ) throws(Fault) -> (code: Int32, [Parameter]) {
        let start = Self.headerLength + 16
        let size = start + 16 * parameters.count
        var request = Request(size: size, answer: size)
        request.put(client, at: Self.headerLength)
        request.put(function, at: Self.headerLength + 4)
        request.put(UInt32(30_000), at: Self.headerLength + 8)
        request.put(UInt16(parameters.count), at: Self.headerLength + 14)
        var memory: [UnsafeMutableRawBufferPointer?] = []
        defer { memory.forEach { $0?.deallocate() } }
        for (index, parameter) in parameters.enumerated() {
            let at = start + 16 * index
            switch parameter {
            case .narrow(let number):
                request.put(UInt32(1), at: at)
                request.put(number, at: at + 4)
                memory.append(nil)
            case .wide(let number):
                request.put(UInt32(2), at: at)
                request.put(number, at: at + 4)
                memory.append(nil)
            case .memory(let bytes):
                let place = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 16)
                place.copyBytes(from: bytes)
                request.put(UInt32(4), at: at)
                request.put(UInt32(clamping: bytes.count), at: at + 4)
                request.put(UInt64(UInt(bitPattern: place.baseAddress)), at: at + 8)
                memory.append(place)
            }
        }
        try perform(&request, 7, "a call")
        let answers = parameters.indices.map { index -> Parameter in
            let at = start + 16 * index + 4
            return switch parameters[index] {
            case .narrow: .narrow(request.number(at: at))
            case .wide: .wide(UInt64(request.number(at: at)) | UInt64(request.number(at: at + 4)) << 32)
            case .memory: .memory(memory[index].map { Array($0) } ?? [])
            }
        }
        return (request.code, answers)
    }

    private func perform(_ request: inout Request, _ number: UInt, _ what: String) throws(Fault) {
        let size = UInt(request.bytes.count)
        // _IOWR('V', number, size).
        let command = 3 << 30 | size << 16 | UInt(UInt8(ascii: "V")) << 8 | number
        let driver = driver
        let answer = request.bytes.withUnsafeMutableBytes { bytes in
            Result { () throws(Errno) in try driver(command, bytes) }
        }
        if case .failure(let error) = answer { throw .refused(what, code: -error.rawValue) }
    }

    /// A header of six numbers, and what follows it.
    private struct Request {
        var bytes: [UInt8]

        init(size: Int, answer: Int) {
            bytes = [UInt8](repeating: 0, count: max(size, answer))
            put(UInt32(size), at: 0)
            put(UInt32(0x10001), at: 4)
            // VERR_INTERNAL_ERROR, until the host says otherwise.
            put(Int32(-225), at: 12)
            put(UInt32(answer), at: 16)
        }

        mutating func put(_ number: some FixedWidthInteger, at offset: Int) {
            withUnsafeBytes(of: number.littleEndian) {
                bytes.replaceSubrange(offset..<offset + $0.count, with: $0)
            }
        }

        func number(at offset: Int) -> UInt32 {
            (0..<4).reduce(0) { $0 | UInt32(bytes[offset + $1]) << UInt32(8 * $1) }
        }

        var code: Int32 { Int32(bitPattern: number(at: 12)) }
    }
}

extension GuestProperties.Fault: CustomStringConvertible {
    var description: String {
        switch self {
        case .noDriver(let reason): "VirtualBox cannot be asked (/dev/vboxguest): \(reason)"
        case .refused(let what, let code): "VirtualBox refused \(what) (\(code))"
        case .encoded(let encoding): "the config of virtualbox has the encoding \(encoding); it must not have one"
        }
    }
}

extension GuestProperties.Fault: Advising {
    var advice: [String] {
        switch self {
        case .noDriver:
            [
                "ignition.platform.id=virtualbox is for VirtualBox, and needs the module vboxguest;",
                "use ignition.platform.id=metal elsewhere.",
            ]
        case .refused: []
        case .encoded: ["Remove the property \(configProperty)/Encoding, and set the config itself."]
        }
    }
}
