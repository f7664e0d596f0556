// Hardware: what follows from what /sys, depmod and devices say, without touching any of them: which
// modules a device needs and in which order, which names a disk gets, what to do with a network card.

/// The last name of a path.
func lastComponent(_ path: String) -> String {
    path.split(separator: "/").last.map(String.init) ?? path
}

func isDigit(_ byte: UInt8) -> Bool { UInt8(ascii: "0") <= byte && byte <= UInt8(ascii: "9") }

let newline = UInt8(ascii: "\n")
