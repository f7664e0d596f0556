// The record that a provisioned system keeps of its provisioning: /etc/.ignition-result.json.

import JSONText

/// What the result file says.
public struct ProvisioningResult: Equatable, Sendable {
    /// The kernel's id of the boot that provisioned the system.
    public var bootID: String
    /// Seconds since 1970, UTC.
    public var date: Int64
    /// Whether somebody gave a config.
    public var userConfigProvided: Bool
    /// An earlier result, which is kept on a system that lives on from boot to boot.
    public var previous: JSONValue?

    /// Where the file is, absolute in the target.
    public static let path = "/etc/.ignition-result.json"

    /// Makes a result.
    public init(bootID: String, date: Int64, userConfigProvided: Bool, previous: JSONValue? = nil) {
        self.bootID = bootID
        self.date = date
        self.userConfigProvided = userConfigProvided
        self.previous = previous
    }

    /// The file's content, in JSON.
    public var text: String {
        var value: JSONValue = [
            "provisioningBootID": .string(bootID), "provisioningDate": .string(utcTimestamp(date)),
            "userConfigProvided": .bool(userConfigProvided),
        ]
        value["previousReport"] = previous
        return value.text(.pretty)
    }
}

/// Formats a time as RFC 3339 does: `2026-03-01T08:15:00Z`.
///
/// - Parameter seconds: Since 1970, without leap seconds.
/// - Returns: The time in UTC.
public func utcTimestamp(_ seconds: Int64) -> String {
    func padded(_ number: Int64, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(width - digits.count, 0)) + digits
    }
    let (days, second) = seconds.quotientAndRemainder(dividingBy: 86400)
    let day = second < 0 ? days - 1 : days
    let time = second < 0 ? second + 86400 : second
    // Years begin in March here, so that the leap day is the last of its year; an era has 400 years.
    // See Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
    let shifted = day + 719_468
    let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let dayOfMonth = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
    let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    return "\(padded(year, 4))-\(padded(month, 2))-\(padded(dayOfMonth, 2))"
        + "T\(padded(time / 3600, 2)):\(padded(time / 60 % 60, 2)):\(padded(time % 60, 2))Z"
}
