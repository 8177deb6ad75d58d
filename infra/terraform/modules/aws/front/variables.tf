variable "name" {
  type        = string
  description = "Beginning of all names."
}

variable "domain" {
  type        = string
  description = "Name that people type."
}

variable "zone_id" {
  type        = string
  description = "The environment's own zone."
}

variable "origins" {
  type = map(object({
    dns_name = string
    zone_id  = string
  }))
  description = "Load balancers of the regions: `first`, and `second` where there is one."
}

variable "logs_bucket" {
  type        = string
  description = "Bucket of access logs, in the first region."
}

variable "monthly_usd" {
  type        = number
  description = "Dollars that the account may cost a month."
}

variable "emails" {
  type        = list(string)
  description = "Who is told of costs."
}
