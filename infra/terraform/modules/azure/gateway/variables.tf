variable "name" {
  type        = string
  description = "Beginning of all names."
}

variable "resource_group" {
  type        = string
  description = "Resource group."
}

variable "location" {
  type        = string
  description = "Azure's name of the region."
}

variable "tags" {
  type        = map(string)
  description = "Tags of everything."
}

variable "subnet_id" {
  type        = string
  description = "Subnet of gateways."
}

variable "front_door_guid" {
  type        = string
  description = "Front Door's own identifier, which it writes to every request."
}

variable "least" {
  type        = number
  description = "Units of capacity at least."
}

variable "most" {
  type        = number
  description = "Units of capacity at most."
}

variable "log_workspace_id" {
  type        = string
  description = "Workspace of logs."
}
