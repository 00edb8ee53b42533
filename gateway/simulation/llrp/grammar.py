"""The LLRP grammar as a table: each line is number, name, fields, children.

Fields are `name:kind`. Kinds: `uN`/`sN` N bits unsigned or signed, `rN` reserved bits, `utf8` counted text,
`u8v`/`u16v`/`u32v` counted arrays, `bits` a counted bit string, `rest` all that follows.
Children: `Name` exactly one, `?` at most one, `*` any number, `+` at least one; `A/B` is a choice.
Source: LLRP 1.0.1 (2007) sections 8 to 16 and LLRP 1.1 (2010) for the three version messages and newer fields.
"""

# ruff: noqa: E501  (one line of the table per line of the standard)

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_MESSAGES: Final = """
1   GET_READER_CAPABILITIES | RequestedData:u8 | Custom*
11  GET_READER_CAPABILITIES_RESPONSE | | LLRPStatus GeneralDeviceCapabilities? LLRPCapabilities? RegulatoryCapabilities? C1G2LLRPCapabilities? Custom*
2   GET_READER_CONFIG | AntennaID:u16 RequestedData:u8 GPIPortNum:u16 GPOPortNum:u16 | Custom*
12  GET_READER_CONFIG_RESPONSE | | LLRPStatus Identification? AntennaProperties* AntennaConfiguration* ReaderEventNotificationSpec? ROReportSpec? AccessReportSpec? LLRPConfigurationStateValue? KeepaliveSpec? GPIPortCurrentState* GPOWriteData* EventsAndReports? Custom*
3   SET_READER_CONFIG | ResetToFactoryDefault:u1 :r7 | ReaderEventNotificationSpec? AntennaProperties* AntennaConfiguration* ROReportSpec? AccessReportSpec? KeepaliveSpec? GPOWriteData* GPIPortCurrentState* EventsAndReports? Custom*
13  SET_READER_CONFIG_RESPONSE | | LLRPStatus
14  CLOSE_CONNECTION | |
4   CLOSE_CONNECTION_RESPONSE | | LLRPStatus
20  ADD_ROSPEC | | ROSpec
30  ADD_ROSPEC_RESPONSE | | LLRPStatus
21  DELETE_ROSPEC | ROSpecID:u32 |
31  DELETE_ROSPEC_RESPONSE | | LLRPStatus
22  START_ROSPEC | ROSpecID:u32 |
32  START_ROSPEC_RESPONSE | | LLRPStatus
23  STOP_ROSPEC | ROSpecID:u32 |
33  STOP_ROSPEC_RESPONSE | | LLRPStatus
24  ENABLE_ROSPEC | ROSpecID:u32 |
34  ENABLE_ROSPEC_RESPONSE | | LLRPStatus
25  DISABLE_ROSPEC | ROSpecID:u32 |
35  DISABLE_ROSPEC_RESPONSE | | LLRPStatus
26  GET_ROSPECS | |
36  GET_ROSPECS_RESPONSE | | LLRPStatus ROSpec*
40  ADD_ACCESSSPEC | | AccessSpec
50  ADD_ACCESSSPEC_RESPONSE | | LLRPStatus
41  DELETE_ACCESSSPEC | AccessSpecID:u32 |
51  DELETE_ACCESSSPEC_RESPONSE | | LLRPStatus
42  ENABLE_ACCESSSPEC | AccessSpecID:u32 |
52  ENABLE_ACCESSSPEC_RESPONSE | | LLRPStatus
43  DISABLE_ACCESSSPEC | AccessSpecID:u32 |
53  DISABLE_ACCESSSPEC_RESPONSE | | LLRPStatus
44  GET_ACCESSSPECS | |
54  GET_ACCESSSPECS_RESPONSE | | LLRPStatus AccessSpec*
46  GET_SUPPORTED_VERSION | |
56  GET_SUPPORTED_VERSION_RESPONSE | CurrentVersion:u8 SupportedVersion:u8 | LLRPStatus
47  SET_PROTOCOL_VERSION | ProtocolVersion:u8 |
57  SET_PROTOCOL_VERSION_RESPONSE | | LLRPStatus
60  GET_REPORT | |
61  RO_ACCESS_REPORT | | TagReportData* RFSurveyReportData* Custom*
62  KEEPALIVE | |
72  KEEPALIVE_ACK | |
63  READER_EVENT_NOTIFICATION | | ReaderEventNotificationData
64  ENABLE_EVENTS_AND_REPORTS | |
100 ERROR_MESSAGE | | LLRPStatus
1023 CUSTOM_MESSAGE | VendorIdentifier:u32 MessageSubtype:u8 Data:rest |
"""

_PARAMETERS: Final = """
1   AntennaID | AntennaID:u16 |
2   FirstSeenTimestampUTC | Microseconds:u64 |
3   FirstSeenTimestampUptime | Microseconds:u64 |
4   LastSeenTimestampUTC | Microseconds:u64 |
5   LastSeenTimestampUptime | Microseconds:u64 |
6   PeakRSSI | PeakRSSI:s8 |
7   ChannelIndex | ChannelIndex:u16 |
8   TagSeenCount | TagCount:u16 |
9   ROSpecID | ROSpecID:u32 |
10  InventoryParameterSpecID | InventoryParameterSpecID:u16 |
11  C1G2CRC | CRC:u16 |
12  C1G2PC | PC_Bits:u16 |
13  EPC_96 | EPC:u96 |
14  SpecIndex | SpecIndex:u16 |
16  AccessSpecID | AccessSpecID:u32 |
128 UTCTimestamp | Microseconds:u64 |
129 Uptime | Microseconds:u64 |
137 GeneralDeviceCapabilities | MaxNumberOfAntennaSupported:u16 CanSetAntennaProperties:u1 HasUTCClockCapability:u1 :r14 DeviceManufacturerName:u32 ModelName:u32 ReaderFirmwareVersion:utf8 | ReceiveSensitivityTableEntry+ PerAntennaReceiveSensitivityRange* GPIOCapabilities PerAntennaAirProtocol+
139 ReceiveSensitivityTableEntry | Index:u16 ReceiveSensitivityValue:s16 |
140 PerAntennaAirProtocol | AntennaID:u16 ProtocolID:u8v |
141 GPIOCapabilities | NumGPIs:u16 NumGPOs:u16 |
142 LLRPCapabilities | CanDoRFSurvey:u1 CanReportBufferFillWarning:u1 SupportsClientRequestOpSpec:u1 CanDoTagInventoryStateAwareSingulation:u1 SupportsEventAndReportHolding:u1 :r3 MaxNumPriorityLevelsSupported:u8 ClientRequestOpSpecTimeout:u16 MaxNumROSpecs:u32 MaxNumSpecsPerROSpec:u32 MaxNumInventoryParameterSpecsPerAISpec:u32 MaxNumAccessSpecs:u32 MaxNumOpSpecsPerAccessSpec:u32 |
143 RegulatoryCapabilities | CountryCode:u16 CommunicationsStandard:u16 | UHFBandCapabilities? Custom*
144 UHFBandCapabilities | | TransmitPowerLevelTableEntry+ FrequencyInformation C1G2UHFRFModeTable+
145 TransmitPowerLevelTableEntry | Index:u16 TransmitPowerValue:s16 |
146 FrequencyInformation | Hopping:u1 :r7 | FrequencyHopTable* FixedFrequencyTable?
147 FrequencyHopTable | HopTableID:u8 :r8 Frequency:u32v |
148 FixedFrequencyTable | Frequency:u32v |
149 PerAntennaReceiveSensitivityRange | AntennaID:u16 ReceiveSensitivityIndexMin:u16 ReceiveSensitivityIndexMax:u16 |
177 ROSpec | ROSpecID:u32 Priority:u8 CurrentState:u8 | ROBoundarySpec AISpec/RFSurveySpec/LoopSpec/Custom+ ROReportSpec?
178 ROBoundarySpec | | ROSpecStartTrigger ROSpecStopTrigger
179 ROSpecStartTrigger | ROSpecStartTriggerType:u8 | PeriodicTriggerValue? GPITriggerValue?
180 PeriodicTriggerValue | Offset:u32 Period:u32 | UTCTimestamp?
181 GPITriggerValue | GPIPortNum:u16 GPIEvent:u1 :r7 Timeout:u32 |
182 ROSpecStopTrigger | ROSpecStopTriggerType:u8 DurationTriggerValue:u32 | GPITriggerValue?
183 AISpec | AntennaIDs:u16v | AISpecStopTrigger InventoryParameterSpec+ Custom*
184 AISpecStopTrigger | AISpecStopTriggerType:u8 DurationTrigger:u32 | GPITriggerValue? TagObservationTrigger?
185 TagObservationTrigger | TriggerType:u8 :r8 NumberOfTags:u16 NumberOfAttempts:u16 T:u16 Timeout:u32 |
186 InventoryParameterSpec | InventoryParameterSpecID:u16 ProtocolID:u8 | AntennaConfiguration* Custom*
187 RFSurveySpec | AntennaID:u16 StartFrequency:u32 EndFrequency:u32 | RFSurveySpecStopTrigger Custom*
188 RFSurveySpecStopTrigger | StopTriggerType:u8 DurationPeriod:u32 N:u32 |
355 LoopSpec | LoopCount:u32 |
207 AccessSpec | AccessSpecID:u32 AntennaID:u16 ProtocolID:u8 CurrentState:u1 :r7 ROSpecID:u32 | AccessSpecStopTrigger AccessCommand AccessReportSpec? Custom*
208 AccessSpecStopTrigger | AccessSpecStopTrigger:u8 OperationCountValue:u16 |
209 AccessCommand | | C1G2TagSpec C1G2Read/C1G2Write/C1G2Kill/C1G2Lock/C1G2BlockErase/C1G2BlockWrite/Custom+
217 LLRPConfigurationStateValue | LLRPConfigurationStateValue:u32 |
218 Identification | IDType:u8 ReaderID:u8v |
219 GPOWriteData | GPOPortNumber:u16 GPOData:u1 :r7 |
220 KeepaliveSpec | KeepaliveTriggerType:u8 PeriodicTriggerValue:u32 |
221 AntennaProperties | AntennaConnected:u1 :r7 AntennaID:u16 AntennaGain:s16 |
222 AntennaConfiguration | AntennaID:u16 | RFReceiver? RFTransmitter? C1G2InventoryCommand* Custom*
223 RFReceiver | ReceiverSensitivity:u16 |
224 RFTransmitter | HopTableID:u16 ChannelIndex:u16 TransmitPower:u16 |
225 GPIPortCurrentState | GPIPortNum:u16 Config:u1 :r7 State:u8 |
226 EventsAndReports | HoldEventsAndReportsUponReconnect:u1 :r7 |
237 ROReportSpec | ROReportTrigger:u8 N:u16 | TagReportContentSelector Custom*
238 TagReportContentSelector | EnableROSpecID:u1 EnableSpecIndex:u1 EnableInventoryParameterSpecID:u1 EnableAntennaID:u1 EnableChannelIndex:u1 EnablePeakRSSI:u1 EnableFirstSeenTimestamp:u1 EnableLastSeenTimestamp:u1 EnableTagSeenCount:u1 EnableAccessSpecID:u1 :r6 | C1G2EPCMemorySelector? Custom*
239 AccessReportSpec | AccessReportTrigger:u8 |
240 TagReportData | | EPCData/EPC_96 ROSpecID? SpecIndex? InventoryParameterSpecID? AntennaID? PeakRSSI? ChannelIndex? FirstSeenTimestampUTC? FirstSeenTimestampUptime? LastSeenTimestampUTC? LastSeenTimestampUptime? TagSeenCount? C1G2PC? C1G2CRC? AccessSpecID? Custom*
241 EPCData | EPC:bits |
242 RFSurveyReportData | Data:rest |
244 ReaderEventNotificationSpec | | EventNotificationState+
245 EventNotificationState | EventType:u16 NotificationState:u1 :r7 |
246 ReaderEventNotificationData | | UTCTimestamp/Uptime HoppingEvent? GPIEvent? ROSpecEvent? ReportBufferLevelWarningEvent? ReportBufferOverflowErrorEvent? ReaderExceptionEvent? AISpecEvent? AntennaEvent? ConnectionAttemptEvent? ConnectionCloseEvent? Custom*
247 HoppingEvent | HopTableID:u16 NextChannelIndex:u16 |
248 GPIEvent | GPIPortNumber:u16 GPIEvent:u1 :r7 |
249 ROSpecEvent | EventType:u8 ROSpecID:u32 PreemptingROSpecID:u32 |
250 ReportBufferLevelWarningEvent | ReportBufferPercentageFull:u8 |
251 ReportBufferOverflowErrorEvent | |
252 ReaderExceptionEvent | Message:utf8 | ROSpecID? SpecIndex? InventoryParameterSpecID? AntennaID? AccessSpecID? Custom*
254 AISpecEvent | EventType:u8 ROSpecID:u32 SpecIndex:u16 |
255 AntennaEvent | EventType:u8 AntennaID:u16 |
256 ConnectionAttemptEvent | Status:u16 |
257 ConnectionCloseEvent | |
287 LLRPStatus | StatusCode:u16 ErrorDescription:utf8 | FieldError? ParameterError?
288 FieldError | FieldNum:u16 ErrorCode:u16 |
289 ParameterError | ParameterType:u16 ErrorCode:u16 | FieldError? ParameterError?
327 C1G2LLRPCapabilities | CanSupportBlockErase:u1 CanSupportBlockWrite:u1 :r6 MaxNumSelectFiltersPerQuery:u16 |
328 C1G2UHFRFModeTable | | C1G2UHFRFModeTableEntry+
329 C1G2UHFRFModeTableEntry | ModeIdentifier:u32 DRValue:u1 EPCHAGTCConformance:u1 :r6 MValue:u8 ForwardLinkModulation:u8 SpectralMaskIndicator:u8 BDRValue:u32 PIEValue:u32 MinTariValue:u32 MaxTariValue:u32 StepTariValue:u32 |
330 C1G2InventoryCommand | TagInventoryStateAware:u1 :r7 | C1G2Filter* C1G2RFControl? C1G2SingulationControl? Custom*
331 C1G2Filter | T:u2 :r6 | C1G2TagInventoryMask C1G2TagInventoryStateAwareFilterAction? C1G2TagInventoryStateUnawareFilterAction?
332 C1G2TagInventoryMask | MB:u2 :r6 Pointer:u16 TagMask:bits |
333 C1G2TagInventoryStateAwareFilterAction | Target:u8 Action:u8 |
334 C1G2TagInventoryStateUnawareFilterAction | Action:u8 |
335 C1G2RFControl | ModeIndex:u16 Tari:u16 |
336 C1G2SingulationControl | Session:u2 :r6 TagPopulation:u16 TagTransitTime:u32 | C1G2TagInventoryStateAwareSingulationAction?
337 C1G2TagInventoryStateAwareSingulationAction | I:u1 S:u1 :r6 |
338 C1G2TagSpec | | C1G2TargetTag+
339 C1G2TargetTag | MB:u2 Match:u1 :r5 Pointer:u16 TagMask:bits TagData:bits |
341 C1G2Read | OpSpecID:u16 AccessPassword:u32 MB:u2 :r6 WordPointer:u16 WordCount:u16 |
342 C1G2Write | OpSpecID:u16 AccessPassword:u32 MB:u2 :r6 WordPointer:u16 WriteData:u16v |
343 C1G2Kill | OpSpecID:u16 KillPassword:u32 |
344 C1G2Lock | OpSpecID:u16 AccessPassword:u32 | C1G2LockPayload+
345 C1G2LockPayload | Privilege:u8 DataField:u8 |
346 C1G2BlockErase | OpSpecID:u16 AccessPassword:u32 MB:u2 :r6 WordPointer:u16 WordCount:u16 |
347 C1G2BlockWrite | OpSpecID:u16 AccessPassword:u32 MB:u2 :r6 WordPointer:u16 WriteData:u16v |
348 C1G2EPCMemorySelector | EnableCRC:u1 EnablePCBits:u1 :r6 |
1023 Custom | VendorIdentifier:u32 ParameterSubtype:u32 Data:rest |
"""

#: Parameters below this number are TV encoded: one byte of type, no length (LLRP 1.0.1 section 16.1.2).
FIRST_TLV: Final = 128


@dataclass(frozen=True, slots=True)
class Field:
    """One field: `width` bits of an integer for kinds u, s and r, otherwise a counted kind."""

    name: str
    kind: str
    width: int


@dataclass(frozen=True, slots=True)
class Slot:
    """Which children may stand here, and how often (`maximum` None = any number)."""

    names: tuple[str, ...]
    minimum: int
    maximum: int | None


@dataclass(frozen=True, slots=True)
class Definition:
    """One message or parameter of the standard."""

    number: int
    name: str
    fields: tuple[Field, ...]
    slots: tuple[Slot, ...]


def _field(text: str) -> Field:
    name, kind = text.split(":")
    if kind[0] in "usr" and kind[1:].isdigit():
        return Field(name, kind[0], int(kind[1:]))
    return Field(name, kind, 0)


def _slot(text: str) -> Slot:
    minimum, maximum = {"?": (0, 1), "*": (0, None), "+": (1, None)}.get(text[-1], (1, 1))
    return Slot(tuple(text.rstrip("?*+").split("/")), minimum, maximum)


def _parse(table: str) -> dict[str, Definition]:
    definitions: dict[str, Definition] = {}
    for line in table.strip().splitlines():
        head, fields, children = line.split("|")
        number, name = head.split()
        definitions[name] = Definition(
            int(number), name, tuple(map(_field, fields.split())), tuple(map(_slot, children.split()))
        )
    return definitions


MESSAGES: Final = _parse(_MESSAGES)
PARAMETERS: Final = _parse(_PARAMETERS)
MESSAGE_BY_NUMBER: Final = {definition.number: definition for definition in MESSAGES.values()}
PARAMETER_BY_NUMBER: Final = {definition.number: definition for definition in PARAMETERS.values()}
