// Whether a machine's UUID tells it from others.

import Encoding

/// The UUID that a machine's firmware gives it.
public struct MachineUUID: Equatable, Sendable {
    /// 16 bytes, in the order of the text.
    public let bytes: [UInt8]

    /// Reads `4c4c4544-0042-3510-8052-b4c04f4d4b31`, in either case.
    ///
    /// - Returns: `nil` for anything else, and for one that many machines have: blank, all of one digit, or a vendor's
    ///   default.
    public init?(_ text: String) {
        let digits = text.filter { $0 != "-" && !$0.isWhitespace }.lowercased()
        guard let bytes = Encoding.bytes(hexadecimal: digits.utf8), bytes.count == 16, Set(bytes).count > 2,
            !Self.vendorDefaults.contains(digits)
        else { return nil }
        self.bytes = bytes
    }

    /// Values that boards show if their maker has filled nothing in.
    private static let vendorDefaults: Set<String> = [
        "03000200040005000006000700080009", "00020003000400050006000700080009", "12345678123456781234567812345678",
        "123456781234567890ab123456789012", "0123456789abcdef0123456789abcdef", "fefefefefefefefefefefefefefefefe",
        "00112233445566778899aabbccddeeff", "01234567890123456789012345678901", "ffeeddccbbaa99887766554433221100",
        "11111111222233334444555555555555", "4c4c454400002010802080c04f202020", "49434d53020090332500339033252500",
        "49434d530200903325003390332500b4",
    ]
}
