"""Tables of LLRP 1.0.1 and 1.1 (sections 16 and 17): what messages and parameters are called and how they are laid out.

A layout is a string, one letter per field in the order of the standard: B, H, I, Q unsigned of 1, 2, 4, 8 bytes; then
`u`, `w`, `d` a 16-bit count followed by that many items of 1, 2, 4 bytes; `b` a 16-bit count of bits followed by as
many bytes as hold them; `*` everything to the end. Sub-parameters may follow any layout without `*`, because vendors
may extend nearly every parameter.
"""

from __future__ import annotations

from enum import IntEnum


class Message(IntEnum):
    """Message types."""

    GET_READER_CAPABILITIES = 1
    GET_READER_CONFIG = 2
    SET_READER_CONFIG = 3
    CLOSE_CONNECTION_RESPONSE = 4
    GET_READER_CAPABILITIES_RESPONSE = 11
    GET_READER_CONFIG_RESPONSE = 12
    SET_READER_CONFIG_RESPONSE = 13
    CLOSE_CONNECTION = 14
    ADD_ROSPEC = 20
    DELETE_ROSPEC = 21
    START_ROSPEC = 22
    STOP_ROSPEC = 23
    ENABLE_ROSPEC = 24
    DISABLE_ROSPEC = 25
    GET_ROSPECS = 26
    ADD_ROSPEC_RESPONSE = 30
    DELETE_ROSPEC_RESPONSE = 31
    START_ROSPEC_RESPONSE = 32
    STOP_ROSPEC_RESPONSE = 33
    ENABLE_ROSPEC_RESPONSE = 34
    DISABLE_ROSPEC_RESPONSE = 35
    GET_ROSPECS_RESPONSE = 36
    ADD_ACCESSSPEC = 40
    DELETE_ACCESSSPEC = 41
    ENABLE_ACCESSSPEC = 42
    DISABLE_ACCESSSPEC = 43
    GET_ACCESSSPECS = 44
    CLIENT_REQUEST_OP = 45
    GET_SUPPORTED_VERSION = 46
    SET_PROTOCOL_VERSION = 47
    ADD_ACCESSSPEC_RESPONSE = 50
    DELETE_ACCESSSPEC_RESPONSE = 51
    ENABLE_ACCESSSPEC_RESPONSE = 52
    DISABLE_ACCESSSPEC_RESPONSE = 53
    GET_ACCESSSPECS_RESPONSE = 54
    CLIENT_REQUEST_OP_RESPONSE = 55
    GET_SUPPORTED_VERSION_RESPONSE = 56
    SET_PROTOCOL_VERSION_RESPONSE = 57
    GET_REPORT = 60
    RO_ACCESS_REPORT = 61
    KEEPALIVE = 62
    READER_EVENT_NOTIFICATION = 63
    ENABLE_EVENTS_AND_REPORTS = 64
    KEEPALIVE_ACK = 72
    ERROR_MESSAGE = 100
    CUSTOM_MESSAGE = 1023


#: Message type -> layout of the fields before its parameters; a type that is not here has none.
MESSAGE_LAYOUTS = {
    Message.GET_READER_CAPABILITIES: "B",
    Message.GET_READER_CONFIG: "HBHH",
    Message.SET_READER_CONFIG: "B",
    Message.DELETE_ROSPEC: "I",
    Message.START_ROSPEC: "I",
    Message.STOP_ROSPEC: "I",
    Message.ENABLE_ROSPEC: "I",
    Message.DISABLE_ROSPEC: "I",
    Message.DELETE_ACCESSSPEC: "I",
    Message.ENABLE_ACCESSSPEC: "I",
    Message.DISABLE_ACCESSSPEC: "I",
    Message.GET_SUPPORTED_VERSION_RESPONSE: "BB",
    Message.SET_PROTOCOL_VERSION: "B",
    Message.CUSTOM_MESSAGE: "IB*",
}


class Parameter(IntEnum):
    """Parameter types that our code names; the first block has no length field (TV encoding)."""

    ANTENNA_ID = 1
    FIRST_SEEN_UTC = 2
    FIRST_SEEN_UPTIME = 3
    LAST_SEEN_UTC = 4
    LAST_SEEN_UPTIME = 5
    PEAK_RSSI = 6
    CHANNEL_INDEX = 7
    TAG_SEEN_COUNT = 8
    ROSPEC_ID = 9
    C1G2_CRC = 11
    C1G2_PC = 12
    EPC_96 = 13
    UTC_TIMESTAMP = 128
    UPTIME = 129
    GPO_WRITE_DATA = 219
    ANTENNA_PROPERTIES = 221
    EVENTS_AND_REPORTS = 226
    TAG_REPORT_DATA = 240
    EPC_DATA = 241
    READER_EVENT_NOTIFICATION_DATA = 246
    LLRP_STATUS = 287
    FIELD_ERROR = 288
    PARAMETER_ERROR = 289
    CUSTOM = 1023


#: TV parameter type -> struct letter of its value (EPC-96: 12 bytes).
TV_FORMATS = {
    1: "H",
    2: "Q",
    3: "Q",
    4: "Q",
    5: "Q",
    6: "b",
    7: "H",
    8: "H",
    9: "I",
    10: "H",
    11: "H",
    12: "H",
    13: "12s",
    14: "H",
    15: "H",
    16: "I",
    17: "H",
    18: "I",
    19: "H",
    20: "H",
}

#: TLV parameter type -> (name, layout).
TLV_LAYOUTS = {
    128: ("UTCTimestamp", "Q"),
    129: ("Uptime", "Q"),
    137: ("GeneralDeviceCapabilities", "HHIIu"),
    139: ("ReceiveSensitivityTableEntry", "HH"),
    140: ("PerAntennaAirProtocol", "Hu"),
    141: ("GPIOCapabilities", "HH"),
    142: ("LLRPCapabilities", "BBHIIIII"),
    143: ("RegulatoryCapabilities", "HH"),
    144: ("UHFBandCapabilities", ""),
    145: ("TransmitPowerLevelTableEntry", "HH"),
    146: ("FrequencyInformation", "B"),
    147: ("FrequencyHopTable", "BBd"),
    148: ("FixedFrequencyTable", "d"),
    149: ("PerAntennaReceiveSensitivityRange", "HHH"),
    177: ("ROSpec", "IBB"),
    178: ("ROBoundarySpec", ""),
    179: ("ROSpecStartTrigger", "B"),
    180: ("PeriodicTriggerValue", "II"),
    181: ("GPITriggerValue", "HBI"),
    182: ("ROSpecStopTrigger", "BI"),
    183: ("AISpec", "w"),
    184: ("AISpecStopTrigger", "BI"),
    185: ("TagObservationTrigger", "BBHHHI"),
    186: ("InventoryParameterSpec", "HB"),
    187: ("RFSurveySpec", "HII"),
    188: ("RFSurveySpecStopTrigger", "BII"),
    207: ("AccessSpec", "IHBBI"),
    208: ("AccessSpecStopTrigger", "BH"),
    209: ("AccessCommand", ""),
    210: ("ClientRequestOpSpec", "H"),
    211: ("ClientRequestResponse", "I"),
    217: ("LLRPConfigurationStateValue", "I"),
    218: ("Identification", "Bu"),
    219: ("GPOWriteData", "HB"),
    220: ("KeepaliveSpec", "BI"),
    221: ("AntennaProperties", "BHH"),
    222: ("AntennaConfiguration", "H"),
    223: ("RFReceiver", "H"),
    224: ("RFTransmitter", "HHH"),
    225: ("GPIPortCurrentState", "HBB"),
    226: ("EventsAndReports", "B"),
    237: ("ROReportSpec", "BH"),
    238: ("TagReportContentSelector", "H"),
    239: ("AccessReportSpec", "B"),
    240: ("TagReportData", ""),
    241: ("EPCData", "b"),
    242: ("RFSurveyReportData", ""),
    243: ("FrequencyRSSILevelEntry", "IIBB"),
    244: ("ReaderEventNotificationSpec", ""),
    245: ("EventNotificationState", "HB"),
    246: ("ReaderEventNotificationData", ""),
    247: ("HoppingEvent", "HH"),
    248: ("GPIEvent", "HB"),
    249: ("ROSpecEvent", "BII"),
    250: ("ReportBufferLevelWarningEvent", "B"),
    251: ("ReportBufferOverflowErrorEvent", ""),
    252: ("ReaderExceptionEvent", "u"),
    253: ("RFSurveyEvent", "BIH"),
    254: ("AISpecEvent", "BIH"),
    255: ("AntennaEvent", "BH"),
    256: ("ConnectionAttemptEvent", "H"),
    257: ("ConnectionCloseEvent", ""),
    287: ("LLRPStatus", "Hu"),
    288: ("FieldError", "HH"),
    289: ("ParameterError", "HH"),
    327: ("C1G2LLRPCapabilities", "BH"),
    328: ("UHFC1G2RFModeTable", ""),
    329: ("UHFC1G2RFModeTableEntry", "IBBBBIIIII"),
    330: ("C1G2InventoryCommand", "B"),
    331: ("C1G2Filter", "B"),
    332: ("C1G2TagInventoryMask", "BHb"),
    333: ("C1G2TagInventoryStateAwareFilterAction", "BB"),
    334: ("C1G2TagInventoryStateUnawareFilterAction", "B"),
    335: ("C1G2RFControl", "HH"),
    336: ("C1G2SingulationControl", "BHI"),
    337: ("C1G2TagInventoryStateAwareSingulationAction", "B"),
    338: ("C1G2TagSpec", ""),
    339: ("C1G2TargetTag", "BHbb"),
    341: ("C1G2Read", "HIBHH"),
    342: ("C1G2Write", "HIBHw"),
    343: ("C1G2Kill", "HI"),
    344: ("C1G2Lock", "HI"),
    345: ("C1G2LockPayload", "BB"),
    346: ("C1G2BlockErase", "HIBHH"),
    347: ("C1G2BlockWrite", "HIBHw"),
    348: ("C1G2EPCMemorySelector", "B"),
    349: ("C1G2ReadOpSpecResult", "BHw"),
    350: ("C1G2WriteOpSpecResult", "BHH"),
    351: ("C1G2KillOpSpecResult", "BH"),
    352: ("C1G2LockOpSpecResult", "BH"),
    353: ("C1G2BlockEraseOpSpecResult", "BH"),
    354: ("C1G2BlockWriteOpSpecResult", "BHH"),
    355: ("LoopSpec", "I"),
    356: ("SpecLoopEvent", "II"),
    357: ("C1G2Recommission", "HIB"),
    358: ("C1G2BlockPermalock", "HIBHw"),
    359: ("C1G2GetBlockPermalockStatus", "HIBHH"),
    360: ("C1G2RecommissionOpSpecResult", "BH"),
    361: ("C1G2BlockPermalockOpSpecResult", "BH"),
    362: ("C1G2GetBlockPermalockStatusOpSpecResult", "BHw"),
    363: ("MaximumReceiveSensitivity", "H"),
    365: ("RFSurveyFrequencyCapabilities", "II"),
    1023: ("Custom", "II*"),
}

#: Status codes of LLRPStatus, FieldError and ParameterError (section 14).
STATUS_CODES = {
    0: "M_Success",
    100: "M_ParameterError",
    101: "M_FieldError",
    102: "M_UnexpectedParameter",
    103: "M_MissingParameter",
    104: "M_DuplicateParameter",
    105: "M_OverflowParameter",
    106: "M_OverflowField",
    107: "M_UnknownParameter",
    108: "M_UnknownField",
    109: "M_UnsupportedMessage",
    110: "M_UnsupportedVersion",
    111: "M_UnsupportedParameter",
    112: "M_UnexpectedMessage",
    200: "P_ParameterError",
    201: "P_FieldError",
    202: "P_UnexpectedParameter",
    203: "P_MissingParameter",
    204: "P_DuplicateParameter",
    205: "P_OverflowParameter",
    206: "P_OverflowField",
    207: "P_UnknownParameter",
    208: "P_UnknownField",
    209: "P_UnsupportedParameter",
    300: "A_Invalid",
    301: "A_OutOfRange",
    401: "R_DeviceError",
}

#: Private enterprise number (IANA) of Impinj, whose extensions give phase and RSSI in hundredths.
IMPINJ = 25882
#: ImpinjRFPhaseAngle: 1/4096 of a turn.
IMPINJ_PHASE = 56
#: ImpinjPeakRSSI: 1/100 dBm.
IMPINJ_PEAK_RSSI = 57

#: Private enterprise numbers of makers that a person may want to see by name.
VENDORS = {25882: "Impinj", 161: "Zebra", 26554: "ThingMagic", 22695: "Alien", 24831: "Sirit", 17996: "CAEN"}
