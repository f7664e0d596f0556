import Testing

@testable import BootReport

@Suite struct ProvisioningResults {
    @Test(
        "times are written as RFC 3339",
        arguments: [
            (Int64(0), "1970-01-01T00:00:00Z"), (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"), (4_107_542_400, "2100-03-01T00:00:00Z"),
            (1_772_352_900, "2026-03-01T08:15:00Z"), (-1, "1969-12-31T23:59:59Z"),
        ])
    func timestamps(_ seconds: Int64, _ text: String) {
        #expect(utcTimestamp(seconds) == text)
    }

    @Test func theFileHasTheKnownShape() {
        let result = ProvisioningResult(bootID: "b", date: 0, userConfigProvided: true, previous: ["x": 1])
        #expect(
            result.text == """
                {
                  "provisioningBootID": "b",
                  "provisioningDate": "1970-01-01T00:00:00Z",
                  "userConfigProvided": true,
                  "previousReport": {
                    "x": 1
                  }
                }

                """)
    }
}
